/* cache.h - the inside of a cache, for cache.c and the files of a pass. */
#ifndef ESP_CACHE_H
#define ESP_CACHE_H

#include "kernels.h"

struct EspCache {
  int32_t layers, kv_heads, head;
  int32_t capacity; /* positions */
  int32_t length; /* committed positions */
  bool fixed; /* 16-bit integers with scales; else 32-bit floats */
  int32_t usable; /* layers that have the committed positions: all, but in a cache that was filled */
  size_t values; /* bytes of its keys, behind which its values lie */
  size_t plane; /* bytes of one layer and key head in a span: keys, then values */
  size_t span_bytes; /* layers x kv_heads x plane */
  /* Memory grows with the text, some spans at a time. */
  uint8_t **spans; /* one pointer a span of the capacity; those below spans_ready are there */
  int32_t spans_ready;
  int32_t slab_spans; /* spans that are allocated together; the first of each slab owns its memory */
  uint8_t *pending_span;
  int32_t pending; /* nodes */
  int32_t parents[ESP_MAX_NODES], depths[ESP_MAX_NODES];
  uint16_t ancestors[ESP_MAX_NODES][ESP_MAX_NODES]; /* [node][depth]: nodes from the root to the node */
  /* What a commit keeps moves in the next pass through each layer: its threads share the work, and need just these lines. */
  int32_t kept[ESP_MAX_NODES], kept_count; /* rows of the pending span that belong to positions from kept_at on */
  int32_t kept_at;
  int32_t owing; /* layers where they have not moved */
  struct {
    int32_t computed; /* pending nodes whose keys and values are there */
    bool owes;
  } layer[]; /* layers */
};

/* Where one layer's keys and values of one key head lie. */
EspKeyValues esp_cache_plane(const EspCache *cache, int32_t layer, int32_t kv_head);
/* Moves what one key head of a layer owes; all key heads have, when esp_cache_moved() says so. */
void esp_cache_move(EspCache *cache, int32_t layer, int32_t kv_head);
void esp_cache_moved(EspCache *cache, int32_t layer);
/* What is wrong with the tree of a pass over layers [from, to), or NULL; then it can be taken. */
const char *esp_cache_expect(const EspCache *cache, const EspTree *tree, int32_t from, int32_t to);
void esp_cache_take(EspCache *cache, const EspTree *tree, int32_t from, int32_t to);

#endif
