/*
 * isa_dotprod.c - NEON with the dot product instructions of ARMv8.2 (SDOT): 4 lanes; one instruction multiplies 4 inputs of 4 rows, and
 * finds the 4 inputs in any quarter of a register. A compiler that does not know it leaves this instruction set out.
 */
#if defined(__ARM_FEATURE_DOTPROD)
#include "cpu.h"
#include "kernels.h"

#include <arm_neon.h>

#define LANES 4
#define MOST_SCORE_QUERIES 3
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)vbslq_f32(vcgtq_f32((float32x4_t)(a), (float32x4_t)(b)), (float32x4_t)(a), (float32x4_t)(b)))
#define SUM_OF(a) vaddvq_s32((int32x4_t)(a))
#define FUSED(a, b, sum) ((vf)vfmaq_f32((float32x4_t)(sum), (float32x4_t)(a), (float32x4_t)(b)))
#include "vectors.h"

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

INLINE void dot4(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const uint8x16_t nibble = vdupq_n_u8(15);
  EACH_PART {
    int8x16_t weights[8];
    _Pragma("GCC unroll 4") for (int line = 0; line < 4; line++) {
      uint8x16_t both = vld1q_u8(quants + 64 * line + 16 * part);
      weights[2 * line] = vreinterpretq_s8_u8(vandq_u8(both, nibble));
      weights[2 * line + 1] = vreinterpretq_s8_u8(vshrq_n_u8(both, 4));
    }
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      const int8x16_t inputs[2] = {vld1q_s8(x + j * ESP_BLOCK), vld1q_s8(x + j * ESP_BLOCK + 16)};
      _Pragma("GCC unroll 8") for (int four = 0; four < 8; four++) {
        sum[j][part] = add_products(sum[j][part], weights[four], inputs[four / 4], four);
      }
    }
  }
  __builtin_prefetch(quants + AHEAD);
  __builtin_prefetch(quants + 64 + AHEAD);
  __builtin_prefetch(quants + 128 + AHEAD);
  __builtin_prefetch(quants + 192 + AHEAD);
}

/*
 * Both operands are signed: the stored offset of 128 is taken off first and so is not in the sums, which then need
 * nothing of what starts8 added for it.
 */
INLINE void dot8(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const uint8x16_t offset = vdupq_n_u8(128);
  EACH_PART {
    int8x16_t weights[8];
    _Pragma("GCC unroll 8") for (int line = 0; line < 8; line++) {
      weights[line] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(quants + 64 * line + 16 * part), offset));
    }
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      const int8x16_t inputs[2] = {vld1q_s8(x + j * ESP_BLOCK), vld1q_s8(x + j * ESP_BLOCK + 16)};
      vi dot = {0};
      _Pragma("GCC unroll 8") for (int four = 0; four < 8; four++) {
        dot = add_products(dot, weights[four], inputs[four / 4], four);
      }
      sum[j][part] = dot;
    }
  }
  _Pragma("GCC unroll 8") for (int line = 0; line < 8; line++) __builtin_prefetch(quants + 64 * line + AHEAD);
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
