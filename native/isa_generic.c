/* isa_generic.c - the portable kernels: 4 lanes, plain C for the integer dot product and for 16-bit floats. */
#include "half.h"
#include "kernels.h"

#define LANES 4
#include "vectors.h"
#include "quants.h"

static bool everywhere(void) { return true; }

INLINE vf load_half(const uint16_t *from) { return (vf){esp_widen(from[0]), esp_widen(from[1]), esp_widen(from[2]), esp_widen(from[3])}; }
INLINE void store_half(uint16_t *to, vf value) {
  for (int i = 0; i < LANES; i++) to[i] = esp_narrow(value[i]);
}

/* Adds the products of fours [from, to) of a block to the sums of every row of a tile. */
INLINE void dot(const uint8_t *quants, const int bits, const int from, const int to, const int part, const int8_t *x, const int width,
                vi *sum) {
  for (int four = from; four < to; four++) {
    const vi weights = (vi)four_weights(quants, bits, four, part);
    for (int j = 0; j < width; j++) {
      const int8_t *inputs = FOUR_INPUTS(x, j, four);
      for (int b = 0; b < 4; b++) sum[j] += (weights >> 8 * b & 255) * (int32_t)inputs[b];
    }
  }
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_generic
#define TABLE_NAME "generic"
#define USABLE everywhere
#include "table.h"
