/*
 * store.h - tokens of texts and their suffix array, in a file, asked what followed where the end of a text stood before. The
 * file is trusted in nothing: any bytes give an answer or ESP_INVALID.
 */
#ifndef ESP_STORE_H
#define ESP_STORE_H

#include "espalier.h"

typedef struct EspStore EspStore;

/* Where things are in the file; tokens and suffixes begin at multiples of 4. */
typedef struct {
  uint64_t bytes; /* of the file */
  uint64_t tokens_at; /* count tokens of `width` bytes, 2 or 4; one from `vocab` on stands between two texts */
  uint64_t suffixes_at; /* count places of 4 bytes, in the order of what stands there */
  int32_t count, width, vocab;
} EspStoreLayout;

enum { ESP_MAX_MATCH = 64, ESP_MAX_DEPTH = 64, ESP_MAX_PLACES = 100000, ESP_MAX_FOUND = 1024 };

typedef struct {
  int32_t longest, shortest; /* tokens that must be the same, 1 <= shortest <= longest <= ESP_MAX_MATCH */
  int32_t places; /* that are counted at most, 1 to ESP_MAX_PLACES, spread evenly over all */
  int32_t depth, nodes; /* of the trie at most, 1 to ESP_MAX_DEPTH and ESP_MAX_FOUND */
} EspStoreLimits;

/* A trie of continuations: those seen most often first, of equals the less deep, so that a parent comes before its children. */
typedef struct {
  int32_t matched; /* tokens that were the same; 0: nothing was found */
  int32_t hits; /* places that were counted */
  int32_t size;
  int32_t tokens[ESP_MAX_FOUND], parents[ESP_MAX_FOUND], counts[ESP_MAX_FOUND]; /* size; the parent of first tokens is -1 */
} EspFound;

/* ESP_INVALID: the file cannot be opened or is not as large as that, or the layout contradicts itself. */
EspStatus esp_store_open(const char *path, const EspStoreLayout *layout, EspStore **store);
void esp_store_close(EspStore *store);
/*
 * What followed the longest suffix of `context` (length tokens) that is followed by anything. ESP_CHANGED: the file was written or shortened
 * since it was opened. ESP_INVALID: limits out of range, or suffixes in no order.
 */
EspStatus esp_store_match(const EspStore *store, const int32_t *context, int32_t length, const EspStoreLimits *limits, EspFound *found);

#endif
