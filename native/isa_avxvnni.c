/*
 * isa_avxvnni.c - AVX-VNNI: AVX2 with the instruction that multiplies 4 inputs of 8 rows and adds them up. A compiler that does not
 * know it leaves this instruction set out.
 */
#if defined(__AVXVNNI__)
#define ADD_PAIRS(sum, a, b) ((vi)_mm256_dpwssd_avx_epi32((__m256i)(sum), (__m256i)(a), (__m256i)(b)))
#include "eight_lanes.h"

typedef vi Dots;

INLINE Dots begin(int32_t start) { return start - (vi){0}; }
INLINE Dots add_products(Dots to, vw weights, const int bits, const int four, const int fours, const int8_t *x) {
  (void)bits, (void)fours;
  return (vi)_mm256_dpbusd_avx_epi32((__m256i)to, (__m256i)weights, four_inputs(FOUR_INPUTS(x, four)));
}
INLINE vi finish(Dots dots, int32_t start) {
  (void)start;
  return dots;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"
#include "pick.h"

#define TABLE esp_kernels_avxvnni
#define TABLE_NAME "avxvnni"
#define USABLE esp_cpu_has_avxvnni
#include "table.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "kernels.h"

static bool usable(void) { return false; }
const EspKernels esp_kernels_avxvnni = {.name = "avxvnni", .usable = usable};
#endif
