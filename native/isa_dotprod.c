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
#define REGISTER_ROWS 4
#define MOST_SCORE_QUERIES 3
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)vbslq_f32(vcgtq_f32((float32x4_t)(a), (float32x4_t)(b)), (float32x4_t)(a), (float32x4_t)(b)))
#define ANY_OF(mask) (vmaxvq_u32((uint32x4_t)(mask)) != 0)
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

typedef vi Dots;

INLINE Dots begin(int32_t start) { return start - (vi){0}; }
INLINE Dots add_products(Dots to, vw weights, const int bits, const int four, const int fours, const int8_t *x) {
  (void)fours;
  const int32x4_t sum = (int32x4_t)to;
  const int8x16_t inputs = vld1q_s8(x + four / 4 * 16);
  int8x16_t quants = (int8x16_t)weights;
  if (bits == 8) quants = veorq_s8(quants, vdupq_n_s8(-128));
  switch (four % 4) {
    case 0: return (vi)vdotq_laneq_s32(sum, quants, inputs, 0);
    case 1: return (vi)vdotq_laneq_s32(sum, quants, inputs, 1);
    case 2: return (vi)vdotq_laneq_s32(sum, quants, inputs, 2);
    default: return (vi)vdotq_laneq_s32(sum, quants, inputs, 3);
  }
}
INLINE vi finish(Dots dots, int32_t start) {
  (void)start;
  return dots;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"
#include "pick.h"

#define TABLE esp_kernels_dotprod
#define TABLE_NAME "dotprod"
#define USABLE esp_cpu_has_dotprod
#include "table.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "kernels.h"

static bool usable(void) { return false; }
const EspKernels esp_kernels_dotprod = {.name = "dotprod", .usable = usable};
#endif
