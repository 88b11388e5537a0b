/*
 * emulated-vnni.h - included before isa_avxvnni.c, it puts AVX2 in the place of the two instructions that AVX-VNNI adds. So
 * everything in that file but the instructions themselves can be tested where no CPU has it.
 */
#include "../../native/cpu.h"

#include <immintrin.h>

/* sum + 4 products of unsigned a and signed b in each 32-bit lane. */
static inline __attribute__((always_inline)) __m256i dpbusd(__m256i sum, __m256i a, __m256i b) {
  const __m256i even = _mm256_madd_epi16(_mm256_and_si256(a, _mm256_set1_epi16(255)), _mm256_srai_epi16(_mm256_slli_epi16(b, 8), 8));
  const __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(a, 8), _mm256_srai_epi16(b, 8));
  return _mm256_add_epi32(sum, _mm256_add_epi32(even, odd));
}

#define __AVXVNNI__ 1
#define _mm256_dpbusd_avx_epi32 dpbusd
#define _mm256_dpwssd_avx_epi32(sum, a, b) _mm256_add_epi32(sum, _mm256_madd_epi16(a, b))
#define esp_cpu_has_avxvnni esp_cpu_has_avx2
