/* isa_generic.c - the portable kernels: 4 lanes, plain C for the integer dot product and for 16-bit floats. */
#include "half.h"
#include "kernels.h"

#define LANES 4
#define REGISTER_ROWS 1
#include "vectors.h"
#include "quants.h"

static bool everywhere(void) { return true; }

INLINE vf load_half(const uint16_t *from) { return (vf){esp_widen(from[0]), esp_widen(from[1]), esp_widen(from[2]), esp_widen(from[3])}; }

typedef vi Dots;

INLINE Dots begin(int32_t start) { return start - (vi){0}; }
INLINE Dots add_products(Dots to, vw weights, const int bits, const int four, const int fours, const int8_t *x) {
  (void)bits, (void)fours;
  for (int b = 0; b < 4; b++) to += ((vi)weights >> 8 * b & 255) * (int32_t)FOUR_INPUTS(x, four)[b];
  return to;
}
INLINE vi finish(Dots dots, int32_t start) {
  (void)start;
  return dots;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"
#include "pick.h"

#define TABLE esp_kernels_generic
#define TABLE_NAME "generic"
#define USABLE everywhere
#include "table.h"
