/*
 * isa_avxvnni.c - AVX-VNNI: AVX2 with the instruction that multiplies 4 inputs of 8 rows and adds them up. A compiler that does not
 * know it leaves this instruction set out.
 */
#if defined(__AVXVNNI__)
#include "eight_lanes.h"

/* sum + the products of fours [from, to) of a block's weights with a row of inputs. */
INLINE vi dot(const vw *weights, const int bits, const int from, const int to, const int8_t *x, vi sum) {
  (void)bits;
  _Pragma("GCC unroll 8") for (int four = from; four < to; four++) {
    sum = (vi)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)weights[four], four_inputs(FOUR_INPUTS(x, four)));
  }
  return sum;
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
