/* eight_lanes.h - what AVX2 and AVX-VNNI share: 8 lanes, 16 registers, FMA and 16-bit floats. */
#include "cpu.h"
#include "kernels.h"

#include <immintrin.h>

#define LANES 8
#define REGISTER_ROWS 4
#define MOST_SCORE_QUERIES 3
#define MOST_VALUE_QUERIES 3
#define LARGER(a, b) ((vf)_mm256_max_ps((__m256)(a), (__m256)(b)))
#define FUSED(a, b, sum) ((vf)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(sum)))
#define LARGEST_OF(a) largest_of_8((__m256)(a))
#define ANY_OF(mask) (_mm256_movemask_ps((__m256)(mask)) != 0)
#define SUM_OF(a) sum_of_8((__m256i)(a))
#define WIDEN_BYTES(from) ((vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)(from))))
#define NARROW_BYTES(to, value) narrow_8((__m128i *)(to), (__m256i)(value))

static inline float largest_of_8(__m256 a) {
  __m128 most = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  most = _mm_max_ps(most, _mm_movehl_ps(most, most));
  return _mm_cvtss_f32(_mm_max_ss(most, _mm_movehdup_ps(most)));
}
static inline int32_t sum_of_8(__m256i a) {
  __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
  sum = _mm_add_epi32(sum, _mm_unpackhi_epi64(sum, sum));
  return _mm_cvtsi128_si32(_mm_add_epi32(sum, _mm_shuffle_epi32(sum, 1)));
}
static inline void narrow_8(__m128i *to, __m256i value) {
  const __m256i low = _mm256_and_si256(value, _mm256_set1_epi32(255)); /* other sets do not saturate */
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
  _mm_storel_epi64(to, _mm_packus_epi16(words, words));
}

#include "vectors.h"
#include "quants.h"

INLINE vf load_half(const uint16_t *from) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)from)); }
INLINE __m256i four_inputs(const int8_t *x) {
  int32_t value;
  memcpy(&value, x, sizeof value);
  return _mm256_set1_epi32(value);
}
