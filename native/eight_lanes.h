/* eight_lanes.h - what AVX2 and AVX-VNNI share: 8 lanes, 16 registers, FMA and 16-bit floats. */
#include "cpu.h"
#include "kernels.h"

#include <immintrin.h>

#define LANES 8
#define MOST_SCORE_QUERIES 3
#define MOST_VALUE_QUERIES 3
#define LARGER(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define FUSED(a, b, sum) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(sum)))
#include "vectors.h"

INLINE vf load_half(const uint16_t *from) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)); }
INLINE void store_half(uint16_t *to, vf value) {
  _mm_storeu_si128((__m128i *)to, _mm256_cvtps_ph((__m256)value, _MM_FROUND_TO_NEAREST_INT));
}
INLINE __m256i four_inputs(const int8_t *x) {
  int32_t value;
  memcpy(&value, x, sizeof value);
  return _mm256_set1_epi32(value);
}
