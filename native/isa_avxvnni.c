/*
 * isa_avxvnni.c - AVX-VNNI: AVX2 with the instruction that multiplies 4 inputs of 8 rows and adds them up. A compiler that does not
 * know it leaves this instruction set out.
 */
#if defined(__AVXVNNI__)
#include "eight_lanes.h"

INLINE vi add_products(vi sum, __m256i weights, const int8_t *x) {
  return (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, weights, four_inputs(x));
}

/* Adds the products of fours [from, to) of a block to the sums of every row of a tile. */
INLINE void dot(const uint8_t *quants, const int bits, const int from, const int to, const int part, const int8_t *x, const int width,
                vi *sum) {
  __m256i weights[8];
  _Pragma("GCC unroll 8") for (int four = from; four < to; four++) weights[four] = (__m256i)four_weights(quants, bits, four, part);
  _Pragma("GCC unroll 1") for (int j = 0; j < width; j++) {
    vi total = sum[j];
    _Pragma("GCC unroll 8") for (int four = from; four < to; four++) total = add_products(total, weights[four], FOUR_INPUTS(x, j, four));
    sum[j] = total;
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
