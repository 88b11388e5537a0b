/* cache.c - keys and values of one text: what is committed, and the nodes that wait. */
#include "cache.h"
#include "memory.h"
#include "stack.h"

#include <string.h>

_Static_assert((int)ESP_MAX_NODES <= (int)ESP_SPAN, "pending nodes fit in one span");

EspCache *esp_cache_create(const EspStack *stack, int32_t capacity, bool half) {
  const EspStackSpec *spec = &stack->spec;
  if (capacity < 1 || capacity > 1 << 24) return NULL;
  EspCache *cache = esp_alloc(sizeof *cache + (size_t)spec->layers * sizeof *cache->computed);
  if (!cache) return NULL;
  cache->layers = spec->layers;
  cache->kv_heads = spec->kv_heads;
  cache->head = spec->head_size;
  cache->capacity = capacity;
  cache->half = half;
  cache->usable = spec->layers;
  cache->plane = 2 * ESP_SPAN * (size_t)spec->head_size * (half ? sizeof(uint16_t) : sizeof(float));
  cache->span_bytes = (size_t)spec->layers * (size_t)spec->kv_heads * cache->plane;
  const int32_t spans = (capacity + ESP_SPAN - 1) / ESP_SPAN;
  const size_t step = (size_t)8 << 20;
  cache->slab_spans = cache->span_bytes > step ? 1 : (int32_t)(step / cache->span_bytes);
  if (cache->slab_spans > spans) cache->slab_spans = spans;
  cache->spans = esp_alloc((size_t)spans * sizeof *cache->spans);
  cache->pending_span = esp_alloc(cache->span_bytes);
  if (!cache->spans || !cache->pending_span) {
    esp_cache_free(cache);
    return NULL;
  }
  return cache;
}

void esp_cache_free(EspCache *cache) {
  if (!cache) return;
  for (int32_t span = 0; span < cache->spans_ready; span += cache->slab_spans) esp_free(cache->spans[span]);
  esp_free(cache->spans);
  esp_free(cache->pending_span);
  esp_free(cache);
}

bool esp_cache_reserve(EspCache *cache, int32_t length) {
  if (length < 0 || length > cache->capacity) return false;
  const int32_t needed = (length + ESP_SPAN - 1) / ESP_SPAN;
  const int32_t all = (cache->capacity + ESP_SPAN - 1) / ESP_SPAN;
  while (cache->spans_ready < needed) {
    const int32_t left = all - cache->spans_ready;
    const int32_t count = left < cache->slab_spans ? left : cache->slab_spans;
    uint8_t *slab = esp_alloc((size_t)count * cache->span_bytes);
    if (!slab) return false;
    for (int32_t i = 0; i < count; i++) cache->spans[cache->spans_ready++] = slab + (size_t)i * cache->span_bytes;
  }
  return true;
}

static void touch(uint8_t *memory, size_t bytes) {
  volatile uint8_t *pages = memory;
  for (size_t at = 0; at < bytes; at += 4096) pages[at] = pages[at];
}

bool esp_cache_prepare(EspCache *cache, int32_t length) {
  if (!esp_cache_reserve(cache, length)) return false;
  touch(cache->pending_span, cache->span_bytes);
  for (int32_t span = 0; span * ESP_SPAN < length; span++) touch(cache->spans[span], cache->span_bytes);
  return true;
}

int32_t esp_cache_length(const EspCache *cache) { return cache->length; }
int32_t esp_cache_capacity(const EspCache *cache) { return cache->capacity; }
size_t esp_cache_bytes(const EspCache *cache) {
  return sizeof *cache + ((size_t)cache->spans_ready + 1) * cache->span_bytes;
}

EspKeyValues esp_cache_plane(const EspCache *cache, int32_t layer, int32_t kv_head) {
  return (EspKeyValues){
      .spans = cache->spans,
      .pending = cache->pending_span,
      .offset = ((size_t)layer * (size_t)cache->kv_heads + (size_t)kv_head) * cache->plane,
      .values = cache->plane / 2,
      .half = cache->half,
  };
}

/* Notes whose child a node is; those before it are noted. */
static void place_node(EspCache *cache, int32_t node, int32_t parent) {
  const int32_t depth = parent < 0 ? 0 : cache->depths[parent] + 1;
  cache->parents[node] = parent;
  cache->depths[node] = depth;
  if (parent >= 0) memcpy(cache->ancestors[node], cache->ancestors[parent], (size_t)depth * sizeof(uint16_t));
  cache->ancestors[node][depth] = (uint16_t)node;
}

const char *esp_cache_expect(EspCache *cache, const EspTree *tree, int32_t from, int32_t to) {
  if (tree->size < 1 || tree->size > ESP_MAX_NODES) return "a tree has no nodes or too many";
  if (tree->first < 0 || tree->first >= tree->size) return "the first new node is not in the tree";
  if (to > cache->usable) return "the text is a filling that has fewer layers";
  bool anew = tree->first == 0 && from == 0;
  int32_t known = anew ? 0 : cache->pending;
  if (tree->first > known) return "nodes before the first new one are not pending";
  for (int32_t node = 0; node < tree->size; node++) {
    int32_t parent = tree->parents[node];
    if (node == 0 ? parent != -1 : parent < 0 || parent >= node) return "a node's parent is not an earlier node";
    if (node < known && parent != cache->parents[node]) return "the tree is not the one that is pending";
  }
  for (int32_t layer = from; layer < to; layer++) {
    if (!anew && cache->computed[layer] < tree->first) return "nodes before the first new one miss this layer";
  }
  if (anew) esp_cache_rollback(cache);
  for (int32_t node = known; node < tree->size; node++) place_node(cache, node, tree->parents[node]);
  if (tree->size > cache->pending) cache->pending = tree->size;
  for (int32_t layer = from; layer < to; layer++) cache->computed[layer] = tree->size;
  return NULL;
}

/* Copies one position's key: a tile's values of one position are ESP_KEY_TILE apart. */
static void move_key(const EspCache *cache, uint8_t *to, int32_t position, const uint8_t *from, int32_t node) {
  const size_t there = esp_key_column(position, cache->head), here = esp_key_column(node, cache->head);
  if (cache->half) {
    uint16_t *target = (uint16_t *)to + there;
    const uint16_t *source = (const uint16_t *)from + here;
    for (int32_t d = 0; d < cache->head; d++) target[d * ESP_KEY_TILE] = source[d * ESP_KEY_TILE];
  } else {
    uint32_t *target = (uint32_t *)to + there;
    const uint32_t *source = (const uint32_t *)from + here;
    for (int32_t d = 0; d < cache->head; d++) target[d * ESP_KEY_TILE] = source[d * ESP_KEY_TILE];
  }
}

/* Of one layer: rows `nodes` of the pending span come to lie one after another from row `first` on. */
static void gather_rows(const EspCache *cache, int32_t layer, const int32_t *nodes, int32_t first, int32_t count, uint8_t *room) {
  const size_t row = cache->plane / (2 * ESP_SPAN);
  for (int32_t kv_head = 0; kv_head < cache->kv_heads; kv_head++) {
    const EspKeyValues kv = esp_cache_plane(cache, layer, kv_head);
    uint8_t *keys = kv.pending + kv.offset, *values = keys + kv.values, *spare = room + kv.values;
    for (int32_t i = first; i < count; i++) {
      move_key(cache, room, i, keys, nodes[i]);
      memcpy(spare + (size_t)i * row, values + (size_t)nodes[i] * row, row);
    }
    for (int32_t i = first; i < count; i++) move_key(cache, keys, i, room, i);
    memcpy(values + (size_t)first * row, spare + (size_t)first * row, (size_t)(count - first) * row);
  }
}

EspStatus esp_cache_arrange(EspCache *cache, const int32_t *nodes, int32_t count) {
  if (count < 1 || count > cache->pending) return ESP_INVALID;
  int32_t place[ESP_MAX_NODES], parents[ESP_MAX_NODES], first = 0;
  for (int32_t node = 0; node < cache->pending; node++) place[node] = -1;
  for (int32_t i = 0; i < count; i++) {
    const int32_t node = nodes[i];
    if (node < 0 || node >= cache->pending || place[node] >= 0 || (i == 0) != (node == 0)) return ESP_INVALID;
    parents[i] = i == 0 ? -1 : place[cache->parents[node]];
    if (i > 0 && parents[i] < 0) return ESP_INVALID;
    place[node] = i;
    if (first == i && node == i) first++;
  }
  uint8_t *room = first < count ? esp_alloc(cache->plane) : NULL;
  if (first < count && !room) return ESP_NO_MEMORY;
  for (int32_t layer = 0; layer < cache->layers; layer++) {
    int32_t done = 0;
    while (done < count && nodes[done] < cache->computed[layer]) done++;
    if (first < done) gather_rows(cache, layer, nodes, first, done, room);
    cache->computed[layer] = done;
  }
  esp_free(room);
  for (int32_t i = first; i < count; i++) place_node(cache, i, parents[i]);
  cache->pending = count;
  return ESP_OK;
}

EspStatus esp_cache_commit(EspCache *cache, const int32_t *path, int32_t count) {
  if (count < 1) return ESP_INVALID;
  for (int32_t i = 0; i < count; i++) {
    if (path[i] < 0 || path[i] >= cache->pending || cache->parents[path[i]] != (i == 0 ? -1 : path[i - 1])) {
      return ESP_INVALID;
    }
    for (int32_t layer = 0; layer < cache->layers; layer++) {
      if (path[i] >= cache->computed[layer]) return ESP_INVALID;
    }
  }
  if (count > cache->capacity - cache->length) return ESP_FULL;
  if (!esp_cache_reserve(cache, cache->length + count)) return ESP_NO_MEMORY;
  const size_t planes = (size_t)cache->layers * (size_t)cache->kv_heads, row = cache->plane / (2 * ESP_SPAN);
  for (size_t offset = 0; offset < planes * cache->plane; offset += cache->plane) {
    const uint8_t *from = cache->pending_span + offset;
    for (int32_t i = 0; i < count; i++) {
      const int32_t position = (cache->length + i) % ESP_SPAN;
      uint8_t *to = cache->spans[(cache->length + i) / ESP_SPAN] + offset;
      move_key(cache, to, position, from, path[i]);
      memcpy(to + cache->plane / 2 + (size_t)position * row, from + cache->plane / 2 + (size_t)path[i] * row, row);
    }
  }
  cache->length += count;
  esp_cache_rollback(cache);
  return ESP_OK;
}

void esp_cache_rollback(EspCache *cache) {
  cache->pending = 0;
  memset(cache->computed, 0, (size_t)cache->layers * sizeof *cache->computed);
}

bool esp_cache_truncate(EspCache *cache, int32_t length) {
  if (length < 0 || length > cache->length) return false;
  esp_cache_rollback(cache);
  cache->length = length;
  if (length == 0) cache->usable = cache->layers;
  return true;
}

EspStatus esp_cache_copy(EspCache *cache, const EspCache *from, int32_t known, int32_t length) {
  if (cache == from || known < 0 || known > cache->length || length < known || length > from->length || cache->layers != from->layers ||
      cache->span_bytes != from->span_bytes || cache->head != from->head || cache->half != from->half || from->usable != from->layers ||
      (known > 0 && cache->usable != cache->layers)) {
    return ESP_INVALID;
  }
  if (length > cache->capacity) return ESP_FULL;
  if (!esp_cache_reserve(cache, length)) return ESP_NO_MEMORY;
  /* What a span holds behind the text is never read. */
  for (int32_t span = known / ESP_SPAN; span * ESP_SPAN < length; span++) memcpy(cache->spans[span], from->spans[span], cache->span_bytes);
  esp_cache_rollback(cache);
  cache->length = length;
  cache->usable = cache->layers;
  return ESP_OK;
}

EspStatus esp_cache_fill(EspCache *cache, int32_t layers, int32_t length) {
  if (layers < 1 || layers > cache->layers || length < 1) return ESP_INVALID;
  if (length > cache->capacity) return ESP_FULL;
  if (!esp_cache_reserve(cache, length)) return ESP_NO_MEMORY;
  const size_t bytes = (size_t)layers * (size_t)cache->kv_heads * cache->plane;
  /* Of such bytes both kinds of floats are ordinary numbers: 1.06 and 0.0115. */
  for (int32_t span = 0; span * ESP_SPAN < length; span++) memset(cache->spans[span], 0x3c, bytes);
  esp_cache_rollback(cache);
  cache->length = length;
  cache->usable = layers;
  return ESP_OK;
}
