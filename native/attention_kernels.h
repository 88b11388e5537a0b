/*
 * attention_kernels.h - queries times keys, and weights times values. What is multiplied comes in units of 32 bits: a float, or two 16-bit integers
 * whose products are added exactly. A lane is a position of keys or a place of values; what is common to all lanes is a query's or weight's unit.
 */

/* Most queries that share one load of keys, and of values; an instruction set may have room for more. */
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

#define KEY_VECTORS (ESP_KEY_TILE / LANES)

/* Vectors of keys that wait in registers for all queries; with few registers one. */
#define KEYS_AT_ONCE (LANES == 16 ? KEY_VECTORS : 1)

INLINE vi add_product(vi sum, vi a, vi b, const bool fixed) {
  return fixed ? add_pairs(sum, a, b) : (vi)multiply_add((vf)a, (vf)b, (vf)sum);
}

/* Queries, [query][units], what integers of each are multiplied by, and the cap of their scores, if there is one. */
typedef struct {
  const int32_t *units;
  const float *scales;
  float cap;
} Queries;

/* Scores of `count` queries, [count][ESP_SPAN], at a tile's positions, are capped, and then what they miss is added. */
static __attribute__((noinline)) void cap_scores(float *scores, int32_t count, float cap, const float *missed) {
  for (int32_t i = 0; i < count; i++, scores += ESP_SPAN) {
    for (int32_t v = 0; v < ESP_KEY_TILE; v += LANES) store(scores + v, capped(load(scores + v), cap) + (missed ? load(missed + v) : splat(0)));
  }
}

/*
 * Scores of `count` queries, [count][ESP_SPAN], at the positions of one tile. Those of integers are multiplied by what lies behind its keys, and the logarithms of
 * the values' scales are added to them.
 */
INLINE void tile_scores(const uint8_t *keys, int32_t units, Queries queries, const int count, float *scores, const bool fixed) {
  vi sum[MOST_SCORE_QUERIES][KEY_VECTORS] = {{{0}}};
  for (int32_t unit = 0; unit < units; unit++, keys += ESP_KEY_TILE * 4) {
    for (int line = 0; line < ESP_KEY_TILE * 4; line += 64) __builtin_prefetch(keys + line + AHEAD_OF_ATTENTION);
    _Pragma("GCC unroll 8") for (int from = 0; from < KEY_VECTORS; from += KEYS_AT_ONCE) {
      vi key[KEYS_AT_ONCE];
      _Pragma("GCC unroll 8") for (int v = 0; v < KEYS_AT_ONCE; v++) key[v] = load_int((const int32_t *)keys + (from + v) * LANES);
      _Pragma("GCC unroll 12") for (int i = 0; i < count; i++) {
        const vi query = splat_int(queries.units[(size_t)i * (size_t)units + (size_t)unit]);
        _Pragma("GCC unroll 8") for (int v = 0; v < KEYS_AT_ONCE; v++) {
          sum[i][from + v] = add_product(sum[i][from + v], key[v], query, fixed);
        }
      }
    }
  }
  const EspScales *of = fixed ? (const EspScales *)(const void *)keys : NULL;
  for (size_t line = 0; fixed && line < sizeof *of; line += 64) __builtin_prefetch(keys + line + AHEAD_OF_ATTENTION);
  _Pragma("GCC unroll 12") for (int i = 0; i < count; i++) {
    _Pragma("GCC unroll 8") for (int v = 0; v < KEY_VECTORS; v++) {
      vf score = (vf)sum[i][v];
      if (fixed) {
        const vf added = queries.cap > 0 ? splat(0) : load(of->values + v * LANES);
        score = multiply_add(__builtin_convertvector(sum[i][v], vf) * queries.scales[i], load(of->keys + v * LANES), added);
      }
      store(scores + (size_t)i * ESP_SPAN + v * LANES, score);
    }
  }
  if (queries.cap > 0) cap_scores(scores, count, queries.cap, fixed ? of->values : NULL);
}

/* The same, where the compiler knows the places of the queries of heads of 64 and 128 integers: fewer registers hold them. */
INLINE void scores_of_tile(const uint8_t *keys, int32_t units, Queries queries, const int count, float *scores, const bool fixed) {
  if (fixed && units == 32) tile_scores(keys, 32, queries, count, scores, true);
  else if (fixed && units == 64) tile_scores(keys, 64, queries, count, scores, true);
  else tile_scores(keys, units, queries, count, scores, fixed);
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
INLINE void all_scores(const uint8_t *keys, int32_t tiles, int32_t units, Queries queries, int32_t count, float *scores, const bool fixed) {
  for (int32_t tile = 0; tile < tiles; tile++) {
    for (int32_t i = 0, block; i < count; i += block) {
      block = block_of_queries(count - i);
      const Queries some = {queries.units + (size_t)i * (size_t)units, queries.scales + i, queries.cap};
      float *to = scores + (size_t)i * ESP_SPAN + (size_t)tile * ESP_KEY_TILE;
      switch (block) {
#if MOST_SCORE_QUERIES >= 12
        case 12: scores_of_tile(keys, units, some, 12, to, fixed); break;
#endif
#if MOST_SCORE_QUERIES >= 6
        case 6: scores_of_tile(keys, units, some, 6, to, fixed); break;
#endif
#if MOST_SCORE_QUERIES >= 3
        case 3: tile_scores(keys, units, some, 3, to, fixed); break;
#endif
        default: tile_scores(keys, units, some, 1, to, fixed); break;
      }
    }
    keys += (size_t)units * ESP_KEY_TILE * 4 + (fixed ? sizeof(EspScales) : 0);
  }
}

/* o[i] = (adds ? o[i] : 0) + weights[i][j] * values[j] for the units j < count of positions, over `vectors` vectors of the head. */
INLINE void weigh(const int32_t *values, int32_t head, int32_t count, const int32_t *weights, int32_t *o, const int queries, const int vectors,
                  const bool adds, const bool fixed) {
  vi sum[6][4];
  _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) {
      sum[i][v] = adds ? load_int(o + (size_t)i * (size_t)head + v * LANES) : splat_int(0);
    }
  }
  for (int32_t j = 0; j < count; j++, values += head, weights++) {
    vi value[4];
    for (int line = 0; line < vectors * LANES; line += 16) __builtin_prefetch((const uint8_t *)(values + line) + AHEAD_OF_ATTENTION);
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) value[v] = load_int(values + v * LANES);
    _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
      const vi weight = splat_int(weights[i * ESP_SPAN]);
      _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) sum[i][v] = add_product(sum[i][v], value[v], weight, fixed);
    }
  }
  _Pragma("GCC unroll 6") for (int i = 0; i < queries; i++) {
    _Pragma("GCC unroll 4") for (int v = 0; v < vectors; v++) store_int(o + (size_t)i * (size_t)head + v * LANES, sum[i][v]);
  }
}

/* The same for any number of queries and a whole head: values [count][head] units, weights [query][ESP_SPAN], o [query][head]. */
INLINE void weigh_all(const int32_t *values, int32_t head, int32_t count, const int32_t *weights, int32_t *o, int32_t queries, const bool adds,
                      const bool fixed) {
  for (int32_t d = 0; d < head;) {
    int vectors = head - d >= 4 * LANES ? 4 : head - d >= 2 * LANES ? 2 : 1;
    int32_t i = 0;
#define WEIGH(q, v)                                                                                                   \
  for (; vectors == v && q <= MOST_VALUE_QUERIES && queries - i >= q; i += q)                                              \
  weigh(values + d, head, count, weights + (size_t)i * ESP_SPAN, o + (size_t)i * (size_t)head + d, q, v, adds, fixed)
    WEIGH(6, 4);
    WEIGH(3, 4);
    WEIGH(1, 4);
    WEIGH(1, 2);
    WEIGH(1, 1);
#undef WEIGH
    d += vectors * LANES;
  }
}
