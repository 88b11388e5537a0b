/*
 * kernels.h - what every instruction set provides, as a table of functions. They are written once, in vectors.h,
 * ops.h, matmul.h and attention.h, and compiled for each; only the integer dot product differs by hand.
 */
#ifndef ESP_KERNELS_H
#define ESP_KERNELS_H

#include "formats.h"
#include "topk.h"

/*
 * Rows of a product's input that lie together. Up to ESP_ONE_TILE rows are one tile, since a second one costs more than a row: weights are unpacked
 * again. Of more rows, tiles of 8 are a little faster.
 */
enum { ESP_ONE_TILE = 12, ESP_TILE = 8 };
static inline int32_t esp_tile(int32_t rows) { return rows <= ESP_ONE_TILE ? ESP_ONE_TILE : ESP_TILE; }
/* Positions of a text whose attention is one piece of work; pieces are joined in order. */
enum { ESP_SPAN = 128 };
/* Positions whose keys lie side by side. */
enum { ESP_KEY_TILE = 32 };
/* Queries (rows x heads of one key head) that one piece of attention may have. */
enum { ESP_QUERIES = 48 };

/*
 * Rows of a product's input, in int8 by blocks of 32. Rows lie in tiles (esp_tile), the last one maybe narrower; every array is [tile][block][row of the tile]:
 *   quants  32 bytes a row
 *   scales  floats
 *   starts4, starts5, starts8  -8, -16, -128 * sum(quants): what the zero of weights of 4, 5 and 8 bits adds to a block's dot product
 *   starts6 -32 * sum of 16 quants, [tile][block][half][row of the tile]: the same where 16 inputs share a scale
 *   masses  scale * sum(quants): what a weight's minimum is multiplied by
 */
typedef struct {
  int32_t rows, blocks;
  int8_t *quants;
  float *scales, *masses;
  int32_t *starts4, *starts5, *starts8, *starts6;
} EspActivations;

/*
 * Keys and values are 32-bit floats, or "fixed": 16-bit integers with one scale for each position, key head, and kind. Sums of products of
 * integers up to these bounds fit in 32 bits: of keys and queries over a head, of values and weights over a span.
 */
enum { ESP_MOST_FIXED = 8191, ESP_MOST_WEIGHT = 2048 };
static inline int32_t esp_most_query(int32_t head) { return head <= 128 ? 2047 : 2047 * 128 / head; }

/*
 * Where keys and values lie. A span's memory holds, for each layer and key head, the keys of ESP_SPAN positions in
 * tiles of 32, [tile][head][32], so that a vector lane is a position, then their values, [position][head]. Fixed ones lie in pairs, which
 * a lane multiplies at once, keys [tile][head / 2][32][2] and values [position / 2][head][2], and behind the keys of each tile are EspScales of its positions.
 * `offset` is where this layer and key head begin. Nodes that wait for a commit lie in a span of their own, by node.
 */
typedef struct {
  uint8_t *const *spans;
  uint8_t *pending;
  size_t offset; /* bytes */
  size_t values; /* bytes from the keys to the values */
  bool fixed;
} EspKeyValues;

/* Values of which none is larger are taken for 0. */
#define ESP_LEAST_VALUE 1e-24f
/*
 * What fixed keys and values of a tile's positions are multiplied by: of keys the scale; of values its logarithm to base 2, which is added to scores, so that
 * a weight is multiplied by it for nothing, and 1 / scale, by which the sum of weights is rid of it again.
 */
typedef struct {
  float keys[ESP_KEY_TILE], values[ESP_KEY_TILE], inverses[ESP_KEY_TILE];
} EspScales;
/* Bytes of a tile of keys, and of its scales. */
static inline size_t esp_tile_bytes(int32_t head, bool fixed) {
  return (size_t)ESP_KEY_TILE * (size_t)head * (fixed ? sizeof(int16_t) : sizeof(float)) + (fixed ? sizeof(EspScales) : 0);
}
/* Of the tile of a plane of fixed keys in which a position (of a span) lies. */
static inline EspScales *esp_scales(uint8_t *plane, int32_t head, int32_t position) {
  uint8_t *tile = plane + (size_t)(position / ESP_KEY_TILE) * esp_tile_bytes(head, true);
  return (EspScales *)(void *)(tile + (size_t)ESP_KEY_TILE * (size_t)head * sizeof(int16_t));
}

/* One piece of attention: some rows of a tree, one key head, spans [span_from, span_to) of the text. */
typedef struct {
  EspKeyValues kv;
  int32_t head; /* values of a head */
  int32_t group; /* query heads per key head */
  int32_t rows;
  int32_t length; /* committed positions */
  const int32_t *depths; /* rows */
  const uint16_t *const *ancestors; /* rows pointers: nodes from the root to the row itself */
  const float *const *queries; /* rows pointers to group x head values; fixed ones are integers, then come group scales */
  int32_t window; /* positions that a row sees, itself included; 0: all */
  float cap; /* of scores, which are exponents of 2; 0: none */
  int32_t span_from, span_to;
  bool fold; /* join the spans into one result; else each span's result stays apart */
  /* results of query i (row * group + head), span s: at [i * stride + (fold ? 0 : s - span_from)] */
  float *const *outputs; /* rows pointers */
  float *const *maxima; /* rows pointers */
  float *const *sums; /* rows pointers */
  size_t stride; /* results between one query head and the next; each is `head` floats in outputs */
  float *scratch; /* ESP_QUERIES x (2 * ESP_SPAN + head + ...) floats, of this thread */
} EspAttention;

/* The first position that one may look at. */
static inline int32_t esp_first_seen(int32_t position, int32_t window) {
  return window > 0 && position >= window ? position + 1 - window : 0;
}

typedef struct {
  const char *name;
  bool (*usable)(void);
  /* out[row * stride + r] = sum over inputs, for the groups [from, to) and every row of the activations */
  void (*matmul)(const EspMatrix *matrix, const EspActivations *x, int32_t from, int32_t to, float *out, size_t stride);
  void (*quantize)(const float *x, EspActivations *to, int32_t row, int32_t block_from, int32_t block_to);
  void (*rms_norm)(const float *x, const float *weight, float *out, int32_t size, float epsilon);
  void (*add)(float *to, const float *x, int32_t size);
  void (*silu_times)(float *gate, const float *up, int32_t size); /* gate = silu(gate) * up */
  void (*gelu_times)(float *gate, const float *up, int32_t size);
  void (*soft_cap)(float *x, int32_t size, float cap); /* x = cap * tanh(x / cap) */
  void (*dequantize_row)(const EspMatrix *matrix, int32_t row, float *out);
  /*
   * x (size, a multiple of 16) as integers from -most to most, rounded half to even, in place if one likes; gives what these are multiplied
   * by to be x again. Where it is `coarse`, that has three bits behind the first.
   */
  float (*fix)(const float *x, int16_t *to, int32_t size, int32_t most, bool coarse);
  void (*attention)(const EspAttention *work);
  /* Joins span results in order, as EspAttention.fold does, and divides: out = head values. */
  void (*join)(float *out, const float *outputs, const float *maxima, const float *sums, int32_t spans, int32_t head);
  /* Largest value and sum of exp(x - largest) of up to `size` values. */
  void (*chunk_softmax)(const float *x, int32_t size, float *largest, float *sum);
  float (*exp_one)(float x);
  /*
   * The token with the largest (logit - largest) * scale + noise, the lowest of equals, among those that the rule leaves; token `top` has the
   * largest logit. There is room for a multiple of 16 logits.
   */
  int32_t (*pick)(const float *logits, int32_t size, int32_t top, uint32_t key, const EspPick *rule);
  /*
   * Ranks rows [first, first + size) by (logit - most) * scale + noise, the noise of their tokens `ids`. There is room for a multiple of 16
   * logits, not so of ids.
   */
  void (*rank)(const float *logits, const int32_t *ids, int32_t size, int32_t first, float most, EspRanking *ranking);
} EspKernels;

extern const EspKernels esp_kernels_generic;
#if defined(__x86_64__) || defined(_M_X64)
extern const EspKernels esp_kernels_avx2, esp_kernels_avxvnni, esp_kernels_avx512vnni;
#elif defined(__aarch64__) || defined(_M_ARM64)
extern const EspKernels esp_kernels_dotprod;
#endif

extern bool esp_asks_ahead; /* with the selected table: whether lines of weights are asked for ahead even for few rows */
const EspKernels *esp_kernels(void); /* the selected table */

#endif
