/* isa_generic.c - the portable kernels: 4 lanes, plain C for the integer dot product and for 16-bit floats. */
#include "kernels.h"

#define LANES 4
#include "vectors.h"

static bool everywhere(void) { return true; }

static float widen(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff, bits;
  float value;
  if (magnitude >= 0x7c00) bits = 0x7f800000 | (magnitude & 0x3ff) << 13; /* infinity, not a number */
  else if (magnitude >= 0x400) bits = (magnitude << 13) + ((127 - 15) << 23);
  else { /* subnormal: magnitude * 2^-24, exact */
    value = (float)magnitude * 5.9604644775390625e-8f;
    memcpy(&bits, &value, sizeof bits);
  }
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static uint16_t narrow(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to infinity */
  if (magnitude < 0x38800000) { /* below 2^-14: subnormal or zero; adding 0.5 rounds at 2^-24, half to even */
    float scaled;
    memcpy(&scaled, &magnitude, sizeof scaled);
    scaled += 0.5f;
    memcpy(&bits, &scaled, sizeof bits);
    return (uint16_t)(sign | (bits - 0x3f000000));
  }
  uint32_t odd = magnitude >> 13 & 1;
  return (uint16_t)(sign | ((magnitude + 0xfff + odd - ((127 - 15) << 23)) >> 13));
}

INLINE vf load_half(const uint16_t *from) { return (vf){widen(from[0]), widen(from[1]), widen(from[2]), widen(from[3])}; }
INLINE void store_half(uint16_t *to, vf value) {
  for (int i = 0; i < LANES; i++) to[i] = narrow(value[i]);
}

INLINE void dot_line(const uint8_t *weights, int shift, int mask, const int8_t *x, vi *sum) {
  EACH_PART {
    for (int lane = 0; lane < LANES; lane++) {
      const uint8_t *w = weights + 4 * (part * LANES + lane);
      int32_t total = 0;
      for (int b = 0; b < 4; b++) total += (w[b] >> shift & mask) * x[b];
      sum[part][lane] += total;
    }
  }
}

INLINE void dot4(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  for (int line = 0; line < 4; line++) {
    for (int j = 0; j < width; j++) {
      dot_line(quants + 64 * line, 0, 15, FOUR_INPUTS(x, j, 2 * line), sum[j]);
      dot_line(quants + 64 * line, 4, 15, FOUR_INPUTS(x, j, 2 * line + 1), sum[j]);
    }
  }
}

INLINE void dot8(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  for (int line = 0; line < 8; line++) {
    for (int j = 0; j < width; j++) dot_line(quants + 64 * line, 0, 255, FOUR_INPUTS(x, j, line), sum[j]);
  }
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_generic
#define TABLE_NAME "generic"
#define USABLE everywhere
#include "table.h"
