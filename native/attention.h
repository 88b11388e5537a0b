/*
 * attention.h - queries against the keys and values of their text: the committed positions, then the row's ancestors
 * by depth. The text is cut at absolute multiples of ESP_SPAN; a span's result is (largest score m, sum l of
 * 2^(score - m), weighted values o), and spans are joined in order. Every number is summed in an order that depends
 * on absolute positions alone: scores over the head's values, l in 16 partial sums by position, o by position. Sums of
 * integers are exact in any order. Scores of integers have the logarithm of the value's scale in them, and l is rid of it again (EspScales).
 */
#include "attention_kernels.h"

/* The largest of scores [begin, count); what pads the first and last 16 becomes less than any. */
INLINE float largest_score(float *scores, int32_t begin, int32_t count) {
  const int32_t start = begin / 16 * 16, padded = (count + 15) / 16 * 16;
  for (int32_t i = start; i < begin; i++) scores[i] = -INFINITY;
  for (int32_t i = count; i < padded; i++) scores[i] = -INFINITY;
  vf top = splat(-INFINITY);
  for (int32_t i = start; i < padded; i += LANES) top = larger(load(scores + i), top);
  return largest_of(top);
}

/* 16 scores to weights, and the sum of these, each times its position's `inverse` where they are integers. */
INLINE void weigh_16(const float *scores, float most, const float *inverses, void *weights, vf sum[PARTS], const bool fixed) {
  EACH_PART {
    const vf below = load(scores + part * LANES) - most;
    if (fixed) {
      const vf weight = power_of_two(below, ESP_MOST_WEIGHT);
      sum[part] = multiply_add(weight, load(inverses + part * LANES), sum[part]);
      fix_vector(weight, (int16_t *)weights + part * LANES);
    } else {
      const vf weight = power_of_two(below, 1);
      sum[part] = sum[part] + weight;
      store((float *)weights + part * LANES, weight);
    }
  }
}

/*
 * Scores [begin, count) to weights 2^(score - most) in place, floats, or integers up to ESP_MOST_WEIGHT in half of the room; 0 before them. Gives their sum. What
 * pads the first and last 16 adds less than a rounding. The inverses of integers are a plane's up to `whole`, and behind that those of `behind`, by position.
 */
INLINE float softmax(float *scores, int32_t begin, int32_t count, float most, uint8_t *plane, int32_t head, int32_t whole, const float *behind,
                     const bool fixed) {
  const int32_t start = begin / 16 * 16, padded = (count + 15) / 16 * 16;
  const size_t bytes = fixed ? sizeof(int16_t) : sizeof(float), to_next_tile = esp_tile_bytes(head, true) - sizeof(float[ESP_KEY_TILE - 16]);
  vf sum[PARTS] = {0};
  int32_t i = start;
  if (fixed) {
    const uint8_t *inverses = i < whole ? (const uint8_t *)(esp_scales(plane, head, i)->inverses + i % ESP_KEY_TILE) : NULL;
    for (; i < whole; i += 16) {
      weigh_16(scores + i, most, (const float *)(const void *)inverses, (int16_t *)(void *)scores + i, sum, true);
      inverses += (i + 16) % ESP_KEY_TILE == 0 ? to_next_tile : sizeof(float[16]);
    }
    for (; i < padded; i += 16) weigh_16(scores + i, most, behind + i, (int16_t *)(void *)scores + i, sum, true);
    for (i = start; i < begin; i++) ((int16_t *)(void *)scores)[i] = 0;
  } else {
    for (; i < padded; i += 16) weigh_16(scores + i, most, NULL, scores + i, sum, false);
    for (i = start; i < begin; i++) scores[i] = 0;
  }
  memset(scores, 0, (size_t)start * bytes);
  float parts[16];
  EACH_PART store(parts + part * LANES, sum[part]);
  return tree_sum(parts);
}

/* A vector of weighed values, floats or integers. */
INLINE vf weighed(const void *from, int32_t d, const bool fixed) {
  return fixed ? __builtin_convertvector(load_int((const int32_t *)from + d), vf) : load((const float *)from + d);
}
INLINE float power_one(float x) { return power_of_two(splat(x), 1)[0]; }

/* Joins a span's result (m, l, o) to what stands for the spans before it. One of the two keeps its weights, for 2^0 is 1. */
INLINE void join_span(float *maximum, float *sum, float *o, float m, float l, const void *from, int32_t head, const bool fixed) {
  if (m > *maximum) {
    const float keep = power_one(*maximum - m);
    *maximum = m;
    *sum = *sum * keep + l;
    for (int32_t d = 0; d < head; d += LANES) store(o + d, load(o + d) * keep + weighed(from, d, fixed));
  } else {
    const float take = power_one(m - *maximum);
    *sum = *sum + l * take;
    for (int32_t d = 0; d < head; d += LANES) store(o + d, load(o + d) + weighed(from, d, fixed) * take);
  }
}

static void join(float *out, const float *outputs, const float *maxima, const float *sums, int32_t spans,
                 int32_t head) {
  float maximum = maxima[0], sum = sums[0];
  memcpy(out, outputs, (size_t)head * sizeof *out);
  for (int32_t s = 1; s < spans; s++) {
    join_span(&maximum, &sum, out, maxima[s], sums[s], outputs + (size_t)s * (size_t)head, head, false);
  }
  for (int32_t d = 0; d < head; d += LANES) store(out + d, load(out + d) / sum);
}

/* The rows' queries, one behind the other. */
INLINE void gather_queries(const EspAttention *work, int32_t *to, float *scales, const bool fixed) {
  const size_t size = (size_t)(work->group * work->head) * (fixed ? sizeof(int16_t) : sizeof(float)), group = (size_t)work->group;
  for (size_t row = 0; row < (size_t)work->rows; row++) {
    const uint8_t *from = (const uint8_t *)work->queries[row];
    memcpy((uint8_t *)to + row * size, from, size);
    if (fixed) memcpy(scales + row * group, from + size, group * sizeof *scales);
  }
}

/* Depths of a row's ancestors that lie in a span and that it sees. */
typedef struct {
  int32_t from, to;
} Depths;

INLINE Depths seen_depths(const EspAttention *work, int32_t row, int32_t from) {
  const int32_t length = work->length, first = esp_first_seen(length + work->depths[row], work->window);
  const int32_t begin = from > first ? from : first, end = from + ESP_SPAN, last = length + work->depths[row] + 1;
  return (Depths){begin > length ? begin - length : 0, (end < last ? end : last) - length};
}

/* Scores of the rows' ancestors in a span, behind those of its committed positions; nodes [low, high) are the ancestors of all. */
INLINE void pending_scores(const EspAttention *work, int32_t from, Queries queries, float *pending, float *scores, int32_t *low, int32_t *high,
                           const bool fixed) {
  const int32_t head = work->head, group = work->group, units = fixed ? head / 2 : head;
  const uint8_t *keys = work->kv.pending + work->kv.offset;
  bool tile_done[ESP_MAX_NODES / ESP_KEY_TILE] = {false};
  *low = ESP_MAX_NODES, *high = 0;
  for (int32_t row = 0; row < work->rows; row++) {
    const Depths seen = seen_depths(work, row, from);
    for (int32_t d = seen.from; d < seen.to; d++) {
      const int32_t node = work->ancestors[row][d], tile = node / ESP_KEY_TILE;
      if (!tile_done[tile]) {
        all_scores(keys + (size_t)tile * esp_tile_bytes(head, fixed), 1, units, queries, work->rows * group, pending + tile * ESP_KEY_TILE, fixed);
        tile_done[tile] = true;
      }
      for (int32_t h = 0; h < group; h++) {
        const size_t line = (size_t)(row * group + h) * ESP_SPAN;
        scores[line + (size_t)(work->length + d - from)] = pending[line + (size_t)node];
      }
      if (node < *low) *low = node;
      if (node >= *high) *high = node + 1;
    }
  }
}

/* Adds the values of a row's ancestors in a span, each by its weight, in the order of their depths. */
INLINE void weigh_ancestors(const EspAttention *work, int32_t row, int32_t from, const float *scores, float *o) {
  const size_t head = (size_t)work->head, line = (size_t)(row * work->group);
  const uint8_t *values = work->kv.pending + work->kv.offset + work->kv.values;
  const Depths seen = seen_depths(work, row, from);
  for (int32_t d = seen.from; d < seen.to; d++) {
    weigh_all((const int32_t *)(const void *)values + work->ancestors[row][d] * head, work->head, 1,
              (const int32_t *)(const void *)(scores + line * ESP_SPAN + (size_t)(work->length + d - from)), (int32_t *)(void *)(o + line * head),
              work->group, true, false);
  }
}

/* What the positions of a row's ancestors in a span are multiplied by behind its committed ones, by position; `whole` is a multiple of 16. */
INLINE void inverses_behind(const EspAttention *work, int32_t row, int32_t from, uint8_t *plane, int32_t whole, int32_t committed, float *to) {
  const Depths seen = seen_depths(work, row, from);
  memset(to + whole, 0, (size_t)(ESP_SPAN - whole) * sizeof *to);
  for (int32_t i = whole; i < committed; i++) to[i] = esp_scales(plane, work->head, i)->inverses[i % ESP_KEY_TILE];
  for (int32_t d = seen.from; d < seen.to; d++) {
    const int32_t node = work->ancestors[row][d];
    to[work->length + d - from] = esp_scales(work->kv.pending + work->kv.offset, work->head, node)->inverses[node % ESP_KEY_TILE];
  }
}

/* Integer weights of a row's ancestors in a span, which lie behind those of committed positions, go to where their nodes are; other nodes [low, high) get 0. */
INLINE void move_ancestors(const EspAttention *work, int32_t row, int32_t from, int32_t committed, int32_t low, int32_t high, float *scores, float *pending) {
  const Depths seen = seen_depths(work, row, from);
  int16_t *by_position = (int16_t *)(void *)scores, *by_node = (int16_t *)(void *)pending;
  for (int32_t i = low; i < high; i++) by_node[i] = 0;
  for (int32_t d = seen.from; d < seen.to; d++) by_node[work->ancestors[row][d]] = by_position[work->length + d - from];
  for (int32_t i = committed; i < (committed + 15) / 16 * 16; i++) by_position[i] = 0;
}

INLINE void attend(const EspAttention *work, const bool fixed) {
  const int32_t head = work->head, group = work->group, length = work->length;
  const int32_t queries = work->rows * group, units = fixed ? head / 2 : head, per_unit = fixed ? 2 : 1;
  float *scores = work->scratch, *pending = scores + ESP_QUERIES * ESP_SPAN, *partial = pending + ESP_QUERIES * ESP_SPAN;
  int32_t *together = (int32_t *)(void *)(partial + (size_t)ESP_QUERIES * (size_t)head), *sums_of_weighed = (int32_t *)(void *)partial;
  float query_scales[ESP_QUERIES], behind[ESP_SPAN];
  gather_queries(work, together, query_scales, fixed);
  const Queries all = {together, query_scales, work->cap};
  int32_t lowest = INT32_MAX; /* the first position that any row sees */
  for (int32_t row = 0; row < work->rows; row++) {
    const int32_t first = esp_first_seen(length + work->depths[row], work->window);
    if (first < lowest) lowest = first;
  }
  for (int32_t span = work->span_from; span < work->span_to; span++) {
    const int32_t from = span * ESP_SPAN;
    const int32_t committed = length - from < 0 ? 0 : length - from < ESP_SPAN ? length - from : ESP_SPAN;
    uint8_t *plane = committed > 0 ? work->kv.spans[span] + work->kv.offset : work->kv.pending + work->kv.offset;
    /* What no row sees is left out; what some do not see has no weight in theirs. */
    const int32_t unseen = lowest > from ? lowest - from : 0, seen_tile = unseen / ESP_KEY_TILE * ESP_KEY_TILE;
    const int32_t tiles = (committed - seen_tile + ESP_KEY_TILE - 1) / ESP_KEY_TILE;
    if (committed > seen_tile) {
      const uint8_t *keys = plane + (size_t)(seen_tile / ESP_KEY_TILE) * esp_tile_bytes(head, fixed);
      all_scores(keys, tiles, units, all, queries, scores + seen_tile, fixed);
    }
    int32_t low, high;
    pending_scores(work, from, all, pending, scores, &low, &high, fixed);
    /* One step for all queries before the next: each waits long for its last operations, while another one's can begin. */
    float maxima[ESP_QUERIES], sums[ESP_QUERIES];
    int32_t begins[ESP_QUERIES], counts[ESP_QUERIES]; /* rows; nothing is seen where the count is 0 */
    for (int32_t row = 0; row < work->rows; row++) {
      const int32_t first = esp_first_seen(length + work->depths[row], work->window), reach = length + work->depths[row] + 1 - from;
      const int32_t begin = first > from ? first - from : 0, count = reach < ESP_SPAN ? reach : ESP_SPAN;
      float *own = scores + (size_t)(row * group) * ESP_SPAN, *waiting = pending + (size_t)(row * group) * ESP_SPAN;
      begins[row] = begin;
      counts[row] = begin < count ? count : 0;
      if (begin >= count) {
        memset(own, 0, (size_t)group * ESP_SPAN * sizeof *own);
        memset(waiting, 0, (size_t)group * ESP_SPAN * sizeof *waiting);
        continue;
      }
      for (int32_t i = row * group; i < (row + 1) * group; i++) maxima[i] = largest_score(scores + (size_t)i * ESP_SPAN, begin, count);
    }
    const int32_t whole = committed / 16 * 16;
    for (int32_t row = 0; row < work->rows; row++) {
      if (counts[row] == 0) continue;
      if (fixed && whole < counts[row]) inverses_behind(work, row, from, plane, whole, committed, behind);
      for (int32_t i = row * group; i < (row + 1) * group; i++) {
        float *own = scores + (size_t)i * ESP_SPAN;
        sums[i] = softmax(own, begins[row], counts[row], maxima[i], plane, head, whole, behind, fixed);
        if (fixed && low < high) move_ancestors(work, row, from, committed, low / 2 * 2, (high + 1) / 2 * 2, own, pending + (size_t)i * ESP_SPAN);
      }
    }
    const int32_t *values = (const int32_t *)(const void *)(plane + work->kv.values);
    const int32_t first_unit = unseen / per_unit, units_seen = (committed + per_unit - 1) / per_unit - first_unit;
    if (committed > unseen) {
      weigh_all(values + (size_t)first_unit * (size_t)head, head, units_seen, (const int32_t *)(const void *)scores + first_unit, sums_of_weighed, queries,
                false, fixed);
    } else {
      memset(partial, 0, (size_t)queries * (size_t)head * sizeof *partial);
    }
    if (fixed && low < high) {
      values = (const int32_t *)(const void *)(work->kv.pending + work->kv.offset + work->kv.values);
      weigh_all(values + (size_t)(low / 2) * (size_t)head, head, (high + 1) / 2 - low / 2, (const int32_t *)(const void *)pending + low / 2, sums_of_weighed,
                queries, true, true);
    }
    for (int32_t row = 0; row < work->rows; row++) {
      const int32_t first = esp_first_seen(length + work->depths[row], work->window);
      if (first >= from + ESP_SPAN || length + work->depths[row] < from) continue;
      if (!fixed) weigh_ancestors(work, row, from, scores, partial);
      for (int32_t h = 0; h < group; h++) {
        const int32_t i = row * group + h;
        const int32_t *result = sums_of_weighed + (size_t)i * (size_t)head;
        const size_t at = (size_t)h * work->stride + (size_t)(work->fold ? 0 : span - work->span_from);
        float *o = work->outputs[row] + at * (size_t)head;
        if (work->fold && span > first / ESP_SPAN) {
          join_span(work->maxima[row] + at, work->sums[row] + at, o, maxima[i], sums[i], result, head, fixed);
        } else {
          for (int32_t d = 0; d < head; d += LANES) store(o + d, weighed(result, d, fixed));
          work->maxima[row][at] = maxima[i];
          work->sums[row][at] = sums[i];
        }
      }
    }
  }
}

static void attention(const EspAttention *work) {
  if (work->kv.fixed) attend(work, true);
  else attend(work, false);
}
