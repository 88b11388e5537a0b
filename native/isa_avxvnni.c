/*
 * isa_avxvnni.c - AVX-VNNI: AVX2 with the instruction that multiplies 4 inputs of 8 rows and adds them up. A compiler that does not
 * know it leaves this instruction set out.
 */
#if defined(__AVXVNNI__)
#include "eight_lanes.h"

INLINE vi add_products(vi sum, __m256i weights, const int8_t *x) {
  return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, weights, four_inputs(x));
}

/* One half of the rows at a time, so that the sums of 8 inputs stay in registers. */
INLINE void dot4(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const __m256i nibble = _mm256_set1_epi8(15);
  EACH_PART {
    _Pragma("GCC unroll 4") for (int line = 0; line < 4; line++) {
      __m256i both = _mm256_load_si256((const __m256i *)(quants + 64 * line + 32 * part));
      if (part == 0) __builtin_prefetch(quants + 64 * line + AHEAD);
      __m256i low = _mm256_and_si256(both, nibble), high = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
        sum[j][part] = add_products(sum[j][part], low, FOUR_INPUTS(x, j, 2 * line));
      }
      _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
        sum[j][part] = add_products(sum[j][part], high, FOUR_INPUTS(x, j, 2 * line + 1));
      }
    }
  }
}

INLINE void dot8(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  EACH_PART {
    _Pragma("GCC unroll 8") for (int line = 0; line < 8; line++) {
      __m256i weights = _mm256_load_si256((const __m256i *)(quants + 64 * line + 32 * part));
      if (part == 0) __builtin_prefetch(quants + 64 * line + AHEAD);
      _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
        sum[j][part] = add_products(sum[j][part], weights, FOUR_INPUTS(x, j, line));
      }
    }
  }
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_avxvnni
#define TABLE_NAME "avxvnni"
#define USABLE esp_cpu_has_avxvnni
#include "table.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "kernels.h"

static bool usable(void) { return false; }
const EspKernels esp_kernels_avxvnni = {.name = "avxvnni", .usable = usable};
#endif
