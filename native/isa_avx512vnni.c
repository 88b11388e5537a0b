/* isa_avx512vnni.c - AVX-512 with VNNI: 16 lanes; one instruction multiplies 4 inputs of 16 rows. */
#if defined(__x86_64__) || defined(_M_X64)
#include "cpu.h"
#include "kernels.h"

#include <immintrin.h>

#define LANES 16
#define MOST_SCORE_QUERIES 12
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define LARGEST_OF(a) _mm512_reduce_max_ps((__m512)(a))
#define SUM_OF(a) _mm512_reduce_add_epi32((__m512i)(a))
#define FUSED(a, b, sum) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum)))
#include "vectors.h"

INLINE vf load_half(const uint16_t *from) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)); }
INLINE void store_half(uint16_t *to, vf value) {
  _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vi add_products(vi sum, __m512i weights, const int8_t *x) {
  int32_t value;
  memcpy(&value, x, sizeof value);
  return (vi)_mm512_dpbusd_epi32((__m512i)sum, weights, _mm512_set1_epi32(value));
}

INLINE void dot4(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const __m512i nibble = _mm512_set1_epi8(15);
  _Pragma("GCC unroll 4") for (int line = 0; line < 4; line++) {
    __m512i both = _mm512_load_si512(quants + 64 * line);
    __builtin_prefetch(quants + 64 * line + AHEAD);
    __m512i low = _mm512_and_si512(both, nibble), high = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      sum[j][0] = add_products(sum[j][0], low, FOUR_INPUTS(x, j, 2 * line));
    }
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      sum[j][0] = add_products(sum[j][0], high, FOUR_INPUTS(x, j, 2 * line + 1));
    }
  }
}

INLINE void dot8(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  _Pragma("GCC unroll 8") for (int line = 0; line < 8; line++) {
    __m512i weights = _mm512_load_si512(quants + 64 * line);
    __builtin_prefetch(quants + 64 * line + AHEAD);
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      sum[j][0] = add_products(sum[j][0], weights, FOUR_INPUTS(x, j, line));
    }
  }
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_avx512vnni
#define TABLE_NAME "avx512vnni"
#define USABLE esp_cpu_has_avx512vnni
#include "table.h"
#endif
