/*
 * suffixes.c - the suffix array of a text in linear time, by induced sorting (SA-IS: Nong, Zhang and Chan, 2009).
 *
 * A suffix rises when it is smaller than the one that begins a token later, else it falls; behind the text an end is thought that
 * is smaller than every token. A valley is a suffix that rises after one that falls. Once the valleys are sorted, two scans put
 * all others in order: a suffix goes into the bucket of its first token when the one a token later is met. The same scans over valleys in any order
 * sort them as far as the next valley, which gives each a name; the text of these names, at most half as long, is sorted first.
 */
#include "suffixes.h"

#include <string.h>

#include "memory.h"

enum { NONE = -1, AHEAD = 24 /* entries that memory is asked for before their turn */, STRIDE = 1 << 18 };

typedef struct {
  const int32_t *text;
  int32_t length, alphabet;
  int32_t *order; /* length: the result; before that, room to work in */
  uint64_t *rising; /* a bit for each suffix */
  int32_t *bucket; /* alphabet: where the next suffix that begins with a token goes */
  const int32_t *abort;
} Level;

static bool stopped(const Level *level) {
  return level->abort && __atomic_load_n(level->abort, __ATOMIC_RELAXED) != 0;
}

static bool rises(const Level *level, int32_t at) { return level->rising[at >> 6] >> (at & 63) & 1; }

static bool is_valley(const Level *level, int32_t at) { return at > 0 && rises(level, at) && !rises(level, at - 1); }

static void find_rising(Level *level) {
  bool rising = false; /* the last suffix falls to the end */
  for (int32_t i = level->length - 2; i >= 0; i--) {
    rising = level->text[i] < level->text[i + 1] || (level->text[i] == level->text[i + 1] && rising);
    level->rising[i >> 6] |= (uint64_t)rising << (i & 63);
  }
}

/* Buckets begin where they begin, or where they end. */
static void set_buckets(Level *level, bool ends) {
  int32_t *bucket = level->bucket, sum = 0;
  memset(bucket, 0, (size_t)level->alphabet * sizeof *bucket);
  for (int32_t i = 0; i < level->length; i++) bucket[level->text[i]]++;
  for (int32_t token = 0; token < level->alphabet; token++) {
    const int32_t count = bucket[token];
    bucket[token] = ends ? sum + count : sum;
    sum += count;
  }
}

static void fetch(const Level *level, int32_t entry) {
  if (entry > 0) __builtin_prefetch(level->text + entry - 1);
}

/* From valleys at the ends of their buckets, NONE elsewhere, to all suffixes. False: stopped. */
static bool induce(Level *level) {
  int32_t *order = level->order, *bucket = level->bucket;
  const int32_t length = level->length;
  set_buckets(level, false);
  order[bucket[level->text[length - 1]]++] = length - 1;
  for (int32_t i = 0; i < length; i++) {
    if (i % STRIDE == 0 && stopped(level)) return false;
    if (i + AHEAD < length) fetch(level, order[i + AHEAD]);
    const int32_t before = order[i] - 1;
    if (before >= 0 && !rises(level, before)) order[bucket[level->text[before]]++] = before;
  }
  set_buckets(level, true);
  for (int32_t i = length - 1; i >= 0; i--) {
    if (i % STRIDE == 0 && stopped(level)) return false;
    if (i >= AHEAD) fetch(level, order[i - AHEAD]);
    const int32_t before = order[i] - 1;
    if (before >= 0 && rises(level, before)) order[--bucket[level->text[before]]] = before;
  }
  return true;
}

/* Two valleys are the same up to the next valley, it included. */
static bool same_to_next(const Level *level, int32_t one, int32_t other) {
  for (int32_t i = 0; one + i < level->length && other + i < level->length; i++) {
    if (level->text[one + i] != level->text[other + i] || rises(level, one + i) != rises(level, other + i)) return false;
    if (i > 0 && is_valley(level, one + i)) return is_valley(level, other + i);
    if (i > 0 && is_valley(level, other + i)) return false;
  }
  return false; /* the end is there but once */
}

static void clear(int32_t *from, int32_t count) {
  for (int32_t i = 0; i < count; i++) from[i] = NONE;
}

/* Sorts valleys as far as the next one and puts their names, in the order of the text, at the end of `order`. Gives how many names there are. */
static int32_t name_valleys(Level *level, int32_t valleys) {
  int32_t *order = level->order, names = 0, count = 0;
  for (int32_t i = 0; i < level->length; i++) {
    if (is_valley(level, order[i])) order[count++] = order[i];
  }
  /* Valleys are two apart at least, so that half a valley's place tells it from the others. */
  int32_t *name_at = order + valleys;
  clear(name_at, level->length - valleys);
  for (int32_t i = 0; i < valleys; i++) {
    if (i > 0 && !same_to_next(level, order[i - 1], order[i])) names++;
    name_at[order[i] / 2] = names;
  }
  for (int32_t i = level->length - 1, to = level->length; i >= valleys; i--) {
    if (order[i] != NONE) order[--to] = order[i];
  }
  return valleys > 0 ? names + 1 : 0;
}

/* Before `order` holds the valleys' ranks in its first entries; afterwards the valleys at the ends of their buckets. */
static void place_valleys(Level *level, int32_t valleys) {
  int32_t *order = level->order, *places = order + level->length - valleys;
  for (int32_t i = 1, count = 0; i < level->length; i++) {
    if (is_valley(level, i)) places[count++] = i;
  }
  for (int32_t i = 0; i < valleys; i++) order[i] = places[order[i]];
  clear(order + valleys, level->length - valleys);
  set_buckets(level, true);
  for (int32_t i = valleys - 1; i >= 0; i--) {
    const int32_t valley = order[i];
    order[i] = NONE;
    order[--level->bucket[level->text[valley]]] = valley;
  }
}

static EspStatus sort_level(const int32_t *text, int32_t length, int32_t alphabet, int32_t *order, const int32_t *abort) {
  if (length == 0) return ESP_OK;
  Level level = {.text = text, .length = length, .alphabet = alphabet, .order = order, .abort = abort};
  const size_t bucket_bytes = (size_t)alphabet * sizeof *level.bucket;
  EspStatus status = ESP_NO_MEMORY;
  level.rising = esp_alloc(((size_t)length / 64 + 1) * sizeof *level.rising);
  level.bucket = esp_alloc(bucket_bytes);
  if (!level.rising || !level.bucket) goto end;
  find_rising(&level);
  clear(order, length);
  set_buckets(&level, true);
  int32_t valleys = 0;
  for (int32_t i = 1; i < length; i++) {
    if (!is_valley(&level, i)) continue;
    order[--level.bucket[text[i]]] = i;
    valleys++;
  }
  status = ESP_ABORTED;
  if (!induce(&level)) goto end;
  const int32_t names = name_valleys(&level, valleys);
  const int32_t *named = order + length - valleys;
  if (names < valleys) {
    esp_free(level.bucket); /* the names are sorted without it */
    status = sort_level(named, valleys, names, order, abort);
    level.bucket = status == ESP_OK ? esp_alloc(bucket_bytes) : NULL;
    if (status == ESP_OK && !level.bucket) status = ESP_NO_MEMORY;
    if (status != ESP_OK) goto end;
  } else {
    for (int32_t i = 0; i < valleys; i++) order[named[i]] = i;
  }
  place_valleys(&level, valleys);
  status = induce(&level) ? ESP_OK : ESP_ABORTED;
end:
  esp_free(level.rising);
  esp_free(level.bucket);
  return status;
}

EspStatus esp_suffix_sort(const EspSuffixSort *sort) {
  if (sort->length < 0 || sort->length == INT32_MAX || sort->alphabet < 1 || sort->alphabet > ESP_MAX_ALPHABET) return ESP_INVALID;
  for (int32_t i = 0; i < sort->length; i++) {
    if (sort->tokens[i] < 0 || sort->tokens[i] >= sort->alphabet) return ESP_INVALID;
  }
  return sort_level(sort->tokens, sort->length, sort->alphabet, sort->suffixes, sort->abort);
}
