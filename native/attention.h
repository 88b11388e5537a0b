/*
 * attention.h - queries against the keys and values of their text: the committed positions, then the row's ancestors
 * by depth. The text is cut at absolute multiples of ESP_SPAN; a span's result is (largest score m, sum l of
 * exp(score - m), weighted values o), and spans are joined in order. Every number is summed in an order that depends
 * on absolute positions alone: scores over the head's values, l in 16 partial sums by position, o by position.
 */

/* Most queries, and vectors of values, that share one load of a key or value; an instruction set may have room for more. */
#ifndef MOST_SCORE_QUERIES
#define MOST_SCORE_QUERIES 1
#endif
#ifndef MOST_VALUE_QUERIES
#define MOST_VALUE_QUERIES 1
#endif

/* How far ahead of its use a line of keys or values is asked for, in bytes. */
#ifndef AHEAD_OF_ATTENTION
#define AHEAD_OF_ATTENTION 8192
#endif

INLINE vf load_kv(const void *from, size_t index, const bool half) {
  return half ? load_half((const uint16_t *)from + index) : load((const float *)from + index);
}

#define KEY_VECTORS (ESP_KEY_TILE / LANES)

/* Vectors of keys that wait in registers for all queries; with few registers one. */
#define KEYS_AT_ONCE (LANES == 16 ? KEY_VECTORS : 1)

/* Scores of `count` queries, [count][head], at the positions of one tile. */
INLINE void tile_scores(const uint8_t *keys, int32_t head, const float *query, const int count, float *scores,
                        const bool half) {
  const size_t line = ESP_KEY_TILE * (half ? sizeof(uint16_t) : sizeof(float));
  vf sum[MOST_SCORE_QUERIES][KEY_VECTORS] = {{{0}}};
  for (int32_t d = 0; d < head; d++, keys += line) {
    __builtin_prefetch(keys + AHEAD_OF_ATTENTION);
    _Pragma("GCC unroll 8") for (int from = 0; from < KEY_VECTORS; from += KEYS_AT_ONCE) {
      vf key[KEYS_AT_ONCE];
      _Pragma("GCC unroll 8") for (int v = 0; v < KEYS_AT_ONCE; v++) key[v] = load_kv(keys, (size_t)((from + v) * LANES), half);
      _Pragma("GCC unroll 12") for (int i = 0; i < count; i++) {
        const vf value = splat(query[(size_t)i * (size_t)head + (size_t)d]);
        _Pragma("GCC unroll 8") for (int v = 0; v < KEYS_AT_ONCE; v++) {
          sum[i][from + v] = multiply_add(key[v], value, sum[i][from + v]);
        }
      }
    }
  }
  _Pragma("GCC unroll 12") for (int i = 0; i < count; i++) {
    _Pragma("GCC unroll 8") for (int v = 0; v < KEY_VECTORS; v++) store(scores + (size_t)i * ESP_SPAN + v * LANES, sum[i][v]);
  }
}

/* Queries that share one load of a key: the largest of 12, 6, 3 and 1 that are there and fit in the registers. */
INLINE int32_t block_of_queries(int32_t left) {
  const int sizes[] = {12, 6, 3};
  for (int i = 0; i < 3; i++) {
    if (sizes[i] <= MOST_SCORE_QUERIES && left >= sizes[i]) return sizes[i];
  }
  return 1;
}

/* Scores of all queries at `tiles` tiles. */
INLINE void all_scores(const uint8_t *keys, int32_t tiles, int32_t head, const float *queries, int32_t count,
                       float *scores, const bool half) {
  const size_t tile_bytes = (size_t)head * ESP_KEY_TILE * (half ? sizeof(uint16_t) : sizeof(float));
  for (int32_t tile = 0; tile < tiles; tile++) {
    const uint8_t *from = keys + (size_t)tile * tile_bytes;
    for (int32_t i = 0, block; i < count; i += block) {
      block = block_of_queries(count - i);
      const float *query = queries + (size_t)i * (size_t)head;
      float *to = scores + (size_t)i * ESP_SPAN + (size_t)tile * ESP_KEY_TILE;
      switch (block) {
#if MOST_SCORE_QUERIES >= 12
        case 12: tile_scores(from, head, query, 12, to, half); break;
#endif
#if MOST_SCORE_QUERIES >= 6
        case 6: tile_scores(from, head, query, 6, to, half); break;
#endif
#if MOST_SCORE_QUERIES >= 3
        case 3: tile_scores(from, head, query, 3, to, half); break;
#endif
        default: tile_scores(from, head, query, 1, to, half); break;
      }
    }
  }
}

/* o[i] += weights[i][j] * values[j] for j < count, over `vectors` vectors of the head. */
INLINE void weigh(const void *values, int32_t head, int32_t count, const float *weights, float *o, size_t o_stride,
                  const int queries, const int vectors, const bool half) {
  vf sum[6][4];
  _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) sum[i][v] = load(o + (size_t)i * o_stride + v * LANES);
  }
  for (int32_t j = 0; j < count; j++) {
    vf value[4];
    const uint8_t *row = (const uint8_t *)values + (size_t)j * (size_t)head * (half ? 2 : 4);
    for (int line = 0; line < vectors * LANES * (half ? 2 : 4); line += 64) {
      __builtin_prefetch(row + line + AHEAD_OF_ATTENTION);
    }
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) {
      value[v] = load_kv(row, (size_t)(v * LANES), half);
    }
    _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
      float weight = weights[(size_t)i * ESP_SPAN + (size_t)j];
      _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) sum[i][v] = multiply_add(value[v], splat(weight), sum[i][v]);
    }
  }
  _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) store(o + (size_t)i * o_stride + v * LANES, sum[i][v]);
  }
}

/* The same for any number of queries and a whole head. */
INLINE void weigh_all(const void *values, int32_t head, int32_t count, const float *weights, float *o, size_t o_stride,
                      int32_t queries, const bool half) {
  const size_t unit = half ? sizeof(uint16_t) : sizeof(float);
  for (int32_t d = 0; d < head;) {
    const uint8_t *from = (const uint8_t *)values + (size_t)d * unit;
    int vectors = head - d >= 4 * LANES ? 4 : head - d >= 2 * LANES ? 2 : 1;
    int32_t i = 0;
#define WEIGH(q, v)                                                                                                   \
  for (; vectors == v && q <= MOST_VALUE_QUERIES && queries - i >= q; i += q)                                              \
  weigh(from, head, count, weights + (size_t)i * ESP_SPAN, o + (size_t)i * o_stride + d, o_stride, q, v, half)
    WEIGH(6, 4);
    WEIGH(3, 4);
    WEIGH(1, 4);
    WEIGH(1, 2);
    WEIGH(1, 1);
#undef WEIGH
    d += vectors * LANES;
  }
}

/*
 * Scores [begin, count) to weights exp(score - m) in place, 0 before them; gives m and their sum. What pads the first and last 16
 * adds less than a rounding.
 */
INLINE void softmax(float *scores, int32_t begin, int32_t count, float *maximum, float *total) {
  const int32_t start = begin / 16 * 16, padded = (count + 15) / 16 * 16;
  for (int32_t i = start; i < begin; i++) scores[i] = -INFINITY;
  for (int32_t i = count; i < padded; i++) scores[i] = -INFINITY;
  vf top = splat(-INFINITY);
  for (int32_t i = start; i < padded; i += LANES) top = larger(load(scores + i), top);
  const float most = largest_of(top);
  vf sum[PARTS] = {0};
  for (int32_t i = start; i < padded; i += 16) {
    EACH_PART {
      vf e = exponential(load(scores + i + part * LANES) - most);
      store(scores + i + part * LANES, e);
      sum[part] = sum[part] + e;
    }
  }
  for (int32_t i = 0; i < begin; i++) scores[i] = 0;
  float parts[16];
  EACH_PART store(parts + part * LANES, sum[part]);
  *maximum = most;
  *total = tree_sum(parts);
}

/* Joins a span's result (m, l, o) to what stands for the spans before it. */
INLINE void join_span(float *maximum, float *sum, float *o, float m, float l, const float *from, int32_t head) {
  float top = m > *maximum ? m : *maximum;
  float keep = exp_one(*maximum - top), take = exp_one(m - top);
  *maximum = top;
  *sum = *sum * keep + l * take;
  for (int32_t d = 0; d < head; d += LANES) store(o + d, load(o + d) * keep + load(from + d) * take);
}

static void join(float *out, const float *outputs, const float *maxima, const float *sums, int32_t spans,
                 int32_t head) {
  float maximum = maxima[0], sum = sums[0];
  memcpy(out, outputs, (size_t)head * sizeof *out);
  for (int32_t s = 1; s < spans; s++) {
    join_span(&maximum, &sum, out, maxima[s], sums[s], outputs + (size_t)s * (size_t)head, head);
  }
  for (int32_t d = 0; d < head; d += LANES) store(out + d, load(out + d) / sum);
}

INLINE void attend(const EspAttention *work, const bool half) {
  const int32_t head = work->head, group = work->group, length = work->length;
  const int32_t queries = work->rows * group;
  const size_t unit = half ? sizeof(uint16_t) : sizeof(float);
  float *scores = work->scratch, *pending = scores + ESP_QUERIES * ESP_SPAN, *partial = pending + ESP_QUERIES * ESP_SPAN;
  float *together = partial + (size_t)ESP_QUERIES * (size_t)head; /* [queries][head] */
  const uint8_t *pending_keys = work->kv.pending + work->kv.offset;
  int32_t deepest = 0, first_seen[ESP_QUERIES], lowest = INT32_MAX;
  for (int32_t row = 0; row < work->rows; row++) {
    const size_t all = (size_t)(group * head);
    memcpy(together + (size_t)row * all, work->queries[row], all * sizeof *together);
    if (work->depths[row] > deepest) deepest = work->depths[row];
    first_seen[row] = esp_first_seen(length + work->depths[row], work->window);
    if (first_seen[row] < lowest) lowest = first_seen[row];
  }
  for (int32_t span = work->span_from; span < work->span_to; span++) {
    const int32_t from = span * ESP_SPAN;
    const int32_t committed = length - from < 0 ? 0 : length - from < ESP_SPAN ? length - from : ESP_SPAN;
    const uint8_t *keys = committed > 0 ? work->kv.spans[span] + work->kv.offset : NULL;
    /* What no row sees is left out; what some do not see has no weight in theirs. */
    const int32_t unseen = lowest > from ? lowest - from : 0, tile_from = unseen / ESP_KEY_TILE;
    const int32_t tiles = (committed + ESP_KEY_TILE - 1) / ESP_KEY_TILE - tile_from;
    if (tiles > 0) {
      all_scores(keys + (size_t)(tile_from * ESP_KEY_TILE) * (size_t)head * unit, tiles, head, together, queries,
                 scores + tile_from * ESP_KEY_TILE, half);
    }
    /* Depths whose positions lie in this span. */
    const int32_t depth_from = from > length ? from - length : 0;
    const int32_t depth_to = from + ESP_SPAN - length < deepest + 1 ? from + ESP_SPAN - length : deepest + 1;
    bool tile_done[ESP_MAX_NODES / ESP_KEY_TILE] = {false};
    for (int32_t row = 0; row < work->rows && depth_from < depth_to; row++) {
      const int32_t seen_from = first_seen[row] - length > depth_from ? first_seen[row] - length : depth_from;
      for (int32_t d = seen_from; d < depth_to && d <= work->depths[row]; d++) {
        const uint16_t node = work->ancestors[row][d];
        const size_t tile = node / ESP_KEY_TILE;
        if (!tile_done[tile]) {
          all_scores(pending_keys + tile * ESP_KEY_TILE * (size_t)head * unit, 1, head, together, queries,
                     pending + tile * ESP_KEY_TILE, half);
          tile_done[tile] = true;
        }
        for (int32_t h = 0; h < group; h++) {
          const size_t line = (size_t)(row * group + h) * ESP_SPAN;
          scores[line + (size_t)(length + d - from)] = pending[line + node];
        }
      }
    }
    float maxima[ESP_QUERIES], sums[ESP_QUERIES];
    for (int32_t i = 0; i < queries; i++) {
      const int32_t row = i / group, reach = length + work->depths[row] + 1 - from;
      const int32_t begin = first_seen[row] > from ? first_seen[row] - from : 0, count = reach < ESP_SPAN ? reach : ESP_SPAN;
      float *own = scores + (size_t)i * ESP_SPAN;
      if (begin >= count) continue;
      if (work->cap > 0) soft_cap(own + begin / 16 * 16, count - begin / 16 * 16, work->cap);
      softmax(own, begin, count, &maxima[i], &sums[i]);
    }
    memset(partial, 0, (size_t)queries * (size_t)head * sizeof *partial);
    if (committed > unseen) {
      weigh_all(keys + work->kv.values + (size_t)unseen * (size_t)head * unit, head, committed - unseen, scores + unseen,
                partial, (size_t)head, queries, half);
    }
    for (int32_t row = 0; row < work->rows; row++) {
      if (first_seen[row] >= from + ESP_SPAN || length + work->depths[row] < from) continue;
      const size_t line = (size_t)row * (size_t)group;
      const int32_t first_span = first_seen[row] / ESP_SPAN;
      const int32_t seen_from = first_seen[row] - length > depth_from ? first_seen[row] - length : depth_from;
      for (int32_t d = seen_from; d < depth_to && d <= work->depths[row]; d++) {
        const uint8_t *value = pending_keys + work->kv.values + (size_t)work->ancestors[row][d] * (size_t)head * unit;
        weigh_all(value, head, 1, scores + line * ESP_SPAN + (size_t)(length + d - from), partial + line * (size_t)head,
                  (size_t)head, group, half);
      }
      for (int32_t h = 0; h < group; h++) {
        const size_t i = line + (size_t)h;
        const size_t at = (size_t)h * work->stride + (size_t)(work->fold ? 0 : span - work->span_from);
        float *o = work->outputs[row] + at * (size_t)head;
        if (work->fold && span > first_span) {
          join_span(work->maxima[row] + at, work->sums[row] + at, o, maxima[i], sums[i], partial + i * (size_t)head, head);
        } else {
          memcpy(o, partial + i * (size_t)head, (size_t)head * sizeof *o);
          work->maxima[row][at] = maxima[i];
          work->sums[row][at] = sums[i];
        }
      }
    }
  }
}

static void attention(const EspAttention *work) {
  if (work->kv.half) attend(work, true);
  else attend(work, false);
}
