/*
 * isa_dotprod.c - NEON with the dot product instructions of ARMv8.2 (SDOT): 4 lanes; one instruction multiplies 4 inputs of 4 rows, and
 * finds the 4 inputs in any quarter of a register. A compiler that does not know it leaves this instruction set out.
 */
#if defined(__ARM_FEATURE_DOTPROD)
#include "cpu.h"
#include "kernels.h"

#include <arm_neon.h>
#include <string.h>

#define LANES 4
#define MOST_SCORE_QUERIES 3
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)vbslq_f32(vcgtq_f32((float32x4_t)(a), (float32x4_t)(b)), (float32x4_t)(a), (float32x4_t)(b)))
#define SUM_OF(a) vaddvq_s32((int32x4_t)(a))
#define FUSED(a, b, sum) ((vf)vfmaq_f32((float32x4_t)(sum), (float32x4_t)(a), (float32x4_t)(b)))
#define EIGHT_BITS_SIGNED
#define WIDEN_BYTES(from) ((vi)widen_4(from))
#define NARROW_BYTES(to, value) narrow_4(to, (int32x4_t)(value))

static inline int32x4_t widen_4(const int8_t *from) {
  int32_t bytes;
  memcpy(&bytes, from, sizeof bytes);
  return vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bytes)))));
}
static inline void narrow_4(int8_t *to, int32x4_t value) {
  const int16x4_t words = vmovn_s32(value);
  const int32_t bytes = vget_lane_s32(vreinterpret_s32_s8(vmovn_s16(vcombine_s16(words, words))), 0);
  memcpy(to, &bytes, sizeof bytes);
}

#include "vectors.h"
#include "quants.h"

INLINE vf load_half(const uint16_t *from) { return (vf)vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(from))); }
INLINE void store_half(uint16_t *to, vf value) { vst1_u16(to, vreinterpret_u16_f16(vcvt_f16_f32((float32x4_t)value))); }

/* `four` is a constant once the loops around it are unrolled. */
INLINE vi add_products(vi sum, int8x16_t weights, int8x16_t x, const int four) {
  int32x4_t to = (int32x4_t)sum;
  switch (four % 4) {
    case 0: return (vi)vdotq_laneq_s32(to, weights, x, 0);
    case 1: return (vi)vdotq_laneq_s32(to, weights, x, 1);
    case 2: return (vi)vdotq_laneq_s32(to, weights, x, 2);
    default: return (vi)vdotq_laneq_s32(to, weights, x, 3);
  }
}

/* sum + the products of fours [from, to) of a block's weights with a row of inputs. */
INLINE vi dot(const vw *weights, const int bits, const int from, const int to, const int8_t *x, vi sum) {
  const int8x16_t inputs[2] = {vld1q_s8(x), vld1q_s8(x + 16)};
  _Pragma("GCC unroll 8") for (int four = from; four < to; four++) {
    int8x16_t quants = (int8x16_t)weights[four];
    if (bits == 8) quants = veorq_s8(quants, vdupq_n_s8(-128));
    sum = add_products(sum, quants, inputs[four / 4], four);
  }
  return sum;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_dotprod
#define TABLE_NAME "dotprod"
#define USABLE esp_cpu_has_dotprod
#include "table.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "kernels.h"

static bool usable(void) { return false; }
const EspKernels esp_kernels_dotprod = {.name = "dotprod", .usable = usable};
#endif
