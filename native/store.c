/*
 * store.c - the longest suffix of a text in a store, and what followed it. Suffixes in order make this cheap: a text's places are
 * neighbours, found by two binary searches, and their continuations come sorted, so that the trie is counted by comparing each with the one before.
 */
#include "store.h"

#include <string.h>

#include "mapping.h"
#include "memory.h"

struct EspStore {
  EspMapping *mapping;
  const uint8_t *tokens;
  const uint32_t *suffixes; /* count */
  uint32_t count;
  int32_t width, vocab;
};

static bool inside(uint64_t at, uint64_t items, uint64_t size, uint64_t bytes) {
  return at % 4 == 0 && at <= bytes && items <= (bytes - at) / size;
}

EspStatus esp_store_open(const char *path, const EspStoreLayout *layout, EspStore **store) {
  const EspStoreLayout l = *layout;
  if (l.count < 0 || l.vocab < 1 || (l.width != 2 && l.width != 4) || !inside(l.tokens_at, (uint64_t)l.count, (uint64_t)l.width, l.bytes) ||
      !inside(l.suffixes_at, (uint64_t)l.count, 4, l.bytes)) {
    return ESP_INVALID;
  }
  EspStore *made = esp_alloc(sizeof *made);
  if (!made) return ESP_NO_MEMORY;
  EspStatus status = esp_map(path, l.bytes, &made->mapping);
  if (status != ESP_OK) {
    esp_free(made);
    return status;
  }
  const uint8_t *bytes = esp_mapped_bytes(made->mapping);
  made->tokens = bytes + l.tokens_at;
  made->suffixes = (const uint32_t *)(const void *)(bytes + l.suffixes_at);
  made->count = (uint32_t)l.count;
  made->width = l.width;
  made->vocab = l.vocab;
  *store = made;
  return ESP_OK;
}

void esp_store_close(EspStore *store) {
  if (!store) return;
  esp_unmap(store->mapping);
  esp_free(store);
}

/* at < count. Whatever the file says is no token becomes `vocab`, the border between texts. */
static int32_t token_at(const EspStore *store, uint32_t at) {
  const uint32_t token = store->width == 2 ? ((const uint16_t *)(const void *)store->tokens)[at]
                                           : ((const uint32_t *)(const void *)store->tokens)[at];
  return token < (uint32_t)store->vocab ? (int32_t)token : store->vocab;
}

static void fetch(const EspStore *store, uint32_t at) {
  if (at < store->count) __builtin_prefetch(store->tokens + (size_t)at * (size_t)store->width);
}

/* ---- the places of a text --------------------------------------------------------------------------------------- */

/* Below 0, 0 or above 0: the suffix at a place is smaller than the text, begins with it, is larger. */
static int compare(const EspStore *store, uint32_t place, const int32_t *text, int32_t length) {
  for (int32_t i = 0; i < length; i++) {
    if (place >= store->count || store->count - place <= (uint32_t)i) return -1;
    const int32_t token = token_at(store, place + (uint32_t)i);
    if (token != text[i]) return token < text[i] ? -1 : 1;
  }
  return 0;
}

/* The first suffix from `from` on that is not smaller than the text or, with `past`, does not begin with it either. */
static uint32_t bound(const EspStore *store, uint32_t from, const int32_t *text, int32_t length, bool past) {
  uint32_t to = store->count;
  while (from < to) {
    const uint32_t middle = from + (to - from) / 2;
    const int order = compare(store, store->suffixes[middle], text, length);
    if (order < 0 || (past && order == 0)) from = middle + 1;
    else to = middle;
  }
  return from;
}

static bool found_at(const EspStore *store, uint32_t at, const int32_t *text, int32_t length) {
  return at < store->count && compare(store, store->suffixes[at], text, length) == 0;
}

/* ---- the most frequent nodes ------------------------------------------------------------------------------------ */

typedef struct {
  int32_t count, depth, id, parent, token; /* ids in the order of the trie; the parent of first tokens is -1 */
} Node;

/* A heap with the worst node first. */
typedef struct {
  Node nodes[ESP_MAX_FOUND];
  int32_t size, most;
} Best;

static bool better(const Node *one, const Node *other) {
  if (one->count != other->count) return one->count > other->count;
  if (one->depth != other->depth) return one->depth < other->depth;
  return one->id < other->id;
}

/* Puts a node into the hole at `at`, below which all is in order. */
static void sink(Best *best, int32_t at, Node node) {
  for (int32_t child = 2 * at + 1; child < best->size; child = 2 * at + 1) {
    if (child + 1 < best->size && better(&best->nodes[child], &best->nodes[child + 1])) child++;
    if (!better(&node, &best->nodes[child])) break;
    best->nodes[at] = best->nodes[child];
    at = child;
  }
  best->nodes[at] = node;
}

static void offer(Best *best, Node node) {
  if (best->size == best->most) {
    if (better(&node, &best->nodes[0])) sink(best, 0, node);
    return;
  }
  int32_t at = best->size++;
  for (; at > 0 && better(&best->nodes[(at - 1) / 2], &node); at = (at - 1) / 2) best->nodes[at] = best->nodes[(at - 1) / 2];
  best->nodes[at] = node;
}

/* Takes the nodes out, worst first, and so writes them best first. A parent is better than its children, so it is there and before them. */
static bool write_best(Best *best, EspFound *found) {
  Node sorted[ESP_MAX_FOUND];
  found->size = best->size;
  while (best->size > 0) {
    sorted[best->size - 1] = best->nodes[0];
    best->size--;
    if (best->size > 0) sink(best, 0, best->nodes[best->size]);
  }
  for (int32_t i = 0; i < found->size; i++) {
    int32_t parent = i - 1;
    if (sorted[i].parent < 0) parent = -1;
    else {
      while (parent >= 0 && sorted[parent].id != sorted[i].parent) parent--;
      if (parent < 0) return false;
    }
    found->tokens[i] = sorted[i].token;
    found->parents[i] = parent;
    found->counts[i] = sorted[i].count;
  }
  return true;
}

/* ---- the trie of continuations ---------------------------------------------------------------------------------- */

/* The path from the text to the newest continuation's end. A node is offered when the path leaves it: then its count is known. */
typedef struct {
  Best best;
  int32_t tokens[ESP_MAX_DEPTH], ids[ESP_MAX_DEPTH], since[ESP_MAX_DEPTH]; /* size; since: the first hit that went there */
  int32_t latest[ESP_MAX_DEPTH + 1]; /* the largest child so far of each node on the path */
  int32_t size, ids_given;
} Path;

static void leave(Path *path, int32_t size, int32_t hits) {
  while (path->size > size) {
    const int32_t at = --path->size;
    offer(&path->best, (Node){.count = hits - path->since[at], .depth = at, .id = path->ids[at],
                              .parent = at > 0 ? path->ids[at - 1] : -1, .token = path->tokens[at]});
  }
}

/* Follows what stands at `place`, hit number `hit`. False: not in order. */
static bool follow(const EspStore *store, Path *path, uint32_t place, int32_t depth, int32_t hit) {
  bool same = true;
  int32_t at = 0;
  for (; at < depth && place < store->count; at++, place++) {
    const int32_t token = token_at(store, place);
    if (token == store->vocab) break;
    same = same && at < path->size && path->tokens[at] == token;
    if (same) continue;
    leave(path, at, hit);
    if (token <= path->latest[at]) return false;
    path->latest[at] = token;
    path->latest[at + 1] = -1;
    path->tokens[at] = token;
    path->ids[at] = path->ids_given++;
    path->since[at] = hit;
    path->size = at + 1;
  }
  leave(path, at, hit);
  return true;
}

/* The hits are suffixes [first, end). */
static bool count_continuations(const EspStore *store, uint32_t first, uint32_t end, int32_t length, const EspStoreLimits *limits,
                                EspFound *found) {
  enum { AHEAD = 16 };
  const uint64_t all = end - first;
  const int32_t hits = all < (uint64_t)limits->places ? (int32_t)all : limits->places;
  Path path;
  path.size = path.ids_given = path.best.size = 0;
  path.best.most = limits->nodes;
  path.latest[0] = -1;
  for (int32_t hit = 0; hit < hits; hit++) {
    const int32_t ahead = hit + AHEAD < hits ? hit + AHEAD : hit;
    fetch(store, store->suffixes[first + (uint32_t)((uint64_t)ahead * all / (uint64_t)hits)] + (uint32_t)length);
    const uint32_t place = store->suffixes[first + (uint32_t)((uint64_t)hit * all / (uint64_t)hits)];
    if (place >= store->count || !follow(store, &path, place + (uint32_t)length, limits->depth, hit)) return false;
  }
  leave(&path, 0, hits);
  found->matched = length;
  found->hits = hits;
  return write_best(&path.best, found);
}

/* ---- a query ---------------------------------------------------------------------------------------------------- */

typedef struct {
  const EspStore *store;
  const int32_t *end; /* of the context */
  int32_t known; /* tokens before it that can be in the store */
  const EspStoreLimits *limits;
  EspFound *found;
  bool in_order;
} Query;

/* Tokens of the longest suffix that is there, 0 if that is too short: where one is, shorter ones are too. */
static int32_t longest_suffix(const Query *query) {
  int32_t least = query->limits->shortest - 1, most = query->known;
  while (least < most) {
    const int32_t length = least + (most - least + 1) / 2;
    const int32_t *text = query->end - length;
    if (found_at(query->store, bound(query->store, 0, text, length, false), text, length)) least = length;
    else most = length - 1;
  }
  return least < query->limits->shortest ? 0 : least;
}

static void run(void *context) {
  Query *query = context;
  const EspStore *store = query->store;
  EspFound *found = query->found;
  /* At the end of a text nothing follows: then a shorter suffix may stand elsewhere too. */
  for (int32_t length = longest_suffix(query); length >= query->limits->shortest && found->size == 0; length--) {
    const int32_t *text = query->end - length;
    const uint32_t first = bound(store, 0, text, length, false), end = bound(store, first, text, length, true);
    if (end > first && !(query->in_order = count_continuations(store, first, end, length, query->limits, found))) return;
  }
}

EspStatus esp_store_match(const EspStore *store, const int32_t *context, int32_t length, const EspStoreLimits *limits, EspFound *found) {
  const EspStoreLimits l = *limits;
  if (length < 0 || l.shortest < 1 || l.longest < l.shortest || l.longest > ESP_MAX_MATCH || l.places < 1 || l.places > ESP_MAX_PLACES ||
      l.depth < 1 || l.depth > ESP_MAX_DEPTH || l.nodes < 1 || l.nodes > ESP_MAX_FOUND) {
    return ESP_INVALID;
  }
  Query query = {.store = store, .end = context + length, .limits = limits, .found = found, .in_order = true};
  while (query.known < l.longest && query.known < length) {
    const int32_t token = query.end[-1 - query.known];
    if (token < 0 || token >= store->vocab) break;
    query.known++;
  }
  found->matched = found->hits = found->size = 0;
  if (!esp_map_unchanged(store->mapping) || !esp_map_guarded(run, &query)) return ESP_CHANGED;
  if (!query.in_order) return ESP_INVALID;
  if (found->size == 0) found->matched = found->hits = 0;
  return ESP_OK;
}
