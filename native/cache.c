/* cache.c - keys and values of one text: what is committed, and the nodes that wait. */
#include "cache.h"
#include "memory.h"
#include "stack.h"

#include <string.h>

_Static_assert((int)ESP_MAX_NODES <= (int)ESP_SPAN, "pending nodes fit in one span");

EspCache *esp_cache_create(const EspStack *stack, int32_t capacity, bool fixed) {
  const EspStackSpec *spec = &stack->spec;
  if (capacity < 1 || capacity > 1 << 24) return NULL;
  EspCache *cache = esp_alloc(sizeof *cache + (size_t)spec->layers * sizeof *cache->layer);
  if (!cache) return NULL;
  cache->layers = spec->layers;
  cache->kv_heads = spec->kv_heads;
  cache->head = spec->head_size;
  cache->capacity = capacity;
  cache->fixed = fixed;
  cache->usable = spec->layers;
  cache->values = ESP_SPAN / ESP_KEY_TILE * esp_tile_bytes(spec->head_size, fixed);
  cache->plane = cache->values + ESP_SPAN * (size_t)spec->head_size * (fixed ? sizeof(int16_t) : sizeof(float));
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
      .values = cache->values,
      .fixed = cache->fixed,
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

static bool begins(const EspTree *tree, int32_t from) { return tree->first == 0 && from == 0; }

const char *esp_cache_expect(const EspCache *cache, const EspTree *tree, int32_t from, int32_t to) {
  if (tree->size < 1 || tree->size > ESP_MAX_NODES) return "a tree has no nodes or too many";
  if (tree->first < 0 || tree->first >= tree->size) return "the first new node is not in the tree";
  if (to > cache->usable) return "the text is a filling that has fewer layers";
  const bool anew = begins(tree, from);
  const int32_t known = anew ? 0 : cache->pending;
  if (tree->first > known) return "nodes before the first new one are not pending";
  for (int32_t node = 0; node < tree->size; node++) {
    int32_t parent = tree->parents[node];
    if (node == 0 ? parent != -1 : parent < 0 || parent >= node) return "a node's parent is not an earlier node";
    if (node < known && parent != cache->parents[node]) return "the tree is not the one that is pending";
  }
  for (int32_t layer = from; layer < to; layer++) {
    if (!anew && cache->layer[layer].computed < tree->first) return "nodes before the first new one miss this layer";
  }
  return NULL;
}

void esp_cache_take(EspCache *cache, const EspTree *tree, int32_t from, int32_t to) {
  if (begins(tree, from)) esp_cache_rollback(cache);
  for (int32_t node = cache->pending; node < tree->size; node++) place_node(cache, node, tree->parents[node]);
  if (tree->size > cache->pending) cache->pending = tree->size;
  for (int32_t layer = from; layer < to; layer++) cache->layer[layer].computed = tree->size;
}

/*
 * Copies the key, the value and their scales of one position of a plane to another position of another one. Both come in units of 32 bits: floats, or
 * pairs of integers, of which a value shares its units with the position beside it.
 */
static void move_position(const EspCache *cache, uint8_t *to_plane, int32_t to, uint8_t *from_plane, int32_t from) {
  const size_t head = (size_t)cache->head, units = cache->fixed ? head / 2 : head, tile = ESP_KEY_TILE;
  const size_t tile_bytes = esp_tile_bytes(cache->head, cache->fixed);
  uint32_t *target = (uint32_t *)(void *)(to_plane + (size_t)to / tile * tile_bytes) + (size_t)to % tile;
  const uint32_t *source = (const uint32_t *)(const void *)(from_plane + (size_t)from / tile * tile_bytes) + (size_t)from % tile;
  for (size_t unit = 0; unit < units; unit++) target[unit * tile] = source[unit * tile];
  target = (uint32_t *)(void *)(to_plane + cache->values);
  source = (const uint32_t *)(const void *)(from_plane + cache->values);
  if (!cache->fixed) {
    memcpy(target + (size_t)to * head, source + (size_t)from * head, head * sizeof *target);
    return;
  }
  target += (size_t)(to / 2) * head, source += (size_t)(from / 2) * head;
  const int left = 16 * (to % 2), right = 16 * (from % 2);
  for (size_t d = 0; d < head; d++) target[d] = (target[d] & (uint32_t)0xffff << (16 - left)) | (source[d] >> right & 0xffff) << left;
  EspScales *scales = esp_scales(to_plane, cache->head, to);
  const EspScales *old = esp_scales(from_plane, cache->head, from);
  const size_t at = (size_t)to % tile, before = (size_t)from % tile;
  scales->keys[at] = old->keys[before];
  scales->values[at] = old->values[before];
  scales->inverses[at] = old->inverses[before];
}

void esp_cache_move(EspCache *cache, int32_t layer, int32_t kv_head) {
  if (!cache->layer[layer].owes) return;
  const EspKeyValues kv = esp_cache_plane(cache, layer, kv_head);
  for (int32_t i = 0; i < cache->kept_count; i++) {
    const int32_t position = cache->kept_at + i;
    move_position(cache, kv.spans[position / ESP_SPAN] + kv.offset, position % ESP_SPAN, kv.pending + kv.offset, cache->kept[i]);
  }
}

void esp_cache_moved(EspCache *cache, int32_t layer) {
  if (cache->layer[layer].owes) cache->owing--;
  cache->layer[layer].owes = false;
}

/* Moves all that it owes. */
static void settle(EspCache *cache) {
  for (int32_t layer = 0; cache->owing > 0 && layer < cache->layers; layer++) {
    for (int32_t kv_head = 0; kv_head < cache->kv_heads; kv_head++) esp_cache_move(cache, layer, kv_head);
    esp_cache_moved(cache, layer);
  }
}

/* Of one layer: rows `nodes` of the pending span come to lie one after another from row `first` on. */
static void gather_rows(const EspCache *cache, int32_t layer, const int32_t *nodes, int32_t first, int32_t count, uint8_t *room) {
  for (int32_t kv_head = 0; kv_head < cache->kv_heads; kv_head++) {
    const EspKeyValues kv = esp_cache_plane(cache, layer, kv_head);
    uint8_t *plane = kv.pending + kv.offset;
    for (int32_t i = first; i < count; i++) move_position(cache, room, i, plane, nodes[i]);
    for (int32_t i = first; i < count; i++) move_position(cache, plane, i, room, i);
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
    while (done < count && nodes[done] < cache->layer[layer].computed) done++;
    if (first < done) gather_rows(cache, layer, nodes, first, done, room);
    cache->layer[layer].computed = done;
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
      if (path[i] >= cache->layer[layer].computed) return ESP_INVALID;
    }
  }
  if (count > cache->capacity - cache->length) return ESP_FULL;
  if (!esp_cache_reserve(cache, cache->length + count)) return ESP_NO_MEMORY;
  /* All layers have run, so nothing is owed of the commit before. */
  memcpy(cache->kept, path, (size_t)count * sizeof *path);
  cache->kept_count = count;
  cache->kept_at = cache->length;
  cache->owing = cache->layers;
  for (int32_t layer = 0; layer < cache->layers; layer++) cache->layer[layer].owes = true;
  cache->length += count;
  esp_cache_rollback(cache);
  return ESP_OK;
}

void esp_cache_rollback(EspCache *cache) {
  cache->pending = 0;
  for (int32_t layer = 0; layer < cache->layers; layer++) cache->layer[layer].computed = 0;
}

bool esp_cache_truncate(EspCache *cache, int32_t length) {
  if (length < 0 || length > cache->length) return false;
  esp_cache_rollback(cache);
  cache->length = length;
  const int32_t kept = length - cache->kept_at;
  if (kept < cache->kept_count) cache->kept_count = kept > 0 ? kept : 0;
  if (length == 0) cache->usable = cache->layers;
  return true;
}

EspStatus esp_cache_copy(EspCache *cache, EspCache *from, int32_t known, int32_t length) {
  if (cache == from || known < 0 || known > cache->length || length < known || length > from->length || cache->layers != from->layers ||
      cache->span_bytes != from->span_bytes || cache->head != from->head || cache->fixed != from->fixed || from->usable != from->layers ||
      (known > 0 && cache->usable != cache->layers)) {
    return ESP_INVALID;
  }
  if (length > cache->capacity) return ESP_FULL;
  if (!esp_cache_reserve(cache, length)) return ESP_NO_MEMORY;
  settle(from);
  settle(cache);
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
  cache->kept_count = 0;
  const size_t bytes = (size_t)layers * (size_t)cache->kv_heads * cache->plane;
  /* Of such bytes floats and integers are ordinary numbers: 0.0115 and 15420. */
  for (int32_t span = 0; span * ESP_SPAN < length; span++) memset(cache->spans[span], 0x3c, bytes);
  esp_cache_rollback(cache);
  cache->length = length;
  cache->usable = layers;
  return ESP_OK;
}
