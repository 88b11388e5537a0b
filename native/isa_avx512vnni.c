/* isa_avx512vnni.c - AVX-512 with VNNI: 16 lanes; one instruction multiplies 4 inputs of 16 rows. */
#if defined(__x86_64__) || defined(_M_X64)
#include "cpu.h"
#include "kernels.h"

#include <immintrin.h>

#define LANES 16
#define TILE_IN_REGISTERS
#define MOST_SCORE_QUERIES 12
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define LARGEST_OF(a) _mm512_reduce_max_ps((__m512)(a))
#define SUM_OF(a) _mm512_reduce_add_epi32((__m512i)(a))
#define FUSED(a, b, sum) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum)))
#define WIDEN_BYTES(from) ((vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(from))))
#define NARROW_BYTES(to, value) _mm_storeu_si128((__m128i *)(to), _mm512_cvtepi32_epi8((__m512i)(value)))
#include "vectors.h"
#include "quants.h"

INLINE vf load_half(const uint16_t *from) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)); }
INLINE void store_half(uint16_t *to, vf value) {
  _mm256_storeu_si256((__m256i *)to, _mm512_cvtps_ph((__m512)value, _MM_FROUND_TO_NEAREST_INT));
}
INLINE __m512i four_inputs(const int8_t *x) {
  int32_t value;
  memcpy(&value, x, sizeof value);
  return _mm512_set1_epi32(value);
}

/* sum + the products of fours [from, to) of a block's weights with a row of inputs. */
INLINE vi dot(const vw *weights, const int bits, const int from, const int to, const int8_t *x, vi sum) {
  (void)bits;
  _Pragma("GCC unroll 8") for (int four = from; four < to; four++) {
    sum = (vi)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)weights[four], four_inputs(FOUR_INPUTS(x, four)));
  }
  return sum;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_avx512vnni
#define TABLE_NAME "avx512vnni"
#define USABLE esp_cpu_has_avx512vnni
#include "table.h"
#endif
