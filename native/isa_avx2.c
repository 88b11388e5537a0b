/* isa_avx2.c - AVX2 with FMA and F16C: 8 lanes; maddubs for the dot product. */
#if defined(__x86_64__) || defined(_M_X64)
#define EIGHT_BITS_SIGNED
#include "eight_lanes.h"

/*
 * maddubs adds two products in 16 bits, which saturate. An input is at most 127, so the sums of this many fours fit:
 * 2 * 127 * (2^bits - 1) * fours < 2^15.
 */
#define FOURS_IN_16_BITS(bits) ((bits) <= 4 ? 8 : (bits) == 5 ? 4 : 2)

/* sum + the products of fours [from, to) of a block's weights with a row of inputs. */
INLINE vi dot(const vw *weights, const int bits, const int from, const int to, const int8_t *x, vi sum) {
  const __m256i ones = _mm256_set1_epi16(1);
  if (bits == 8) {
    /* Would overflow; so the product takes |weight - 128| and gives the input the sign: see EIGHT_BITS_SIGNED. */
    _Pragma("GCC unroll 8") for (int four = from; four < to; four++) {
      const __m256i weight = _mm256_xor_si256((__m256i)weights[four], _mm256_set1_epi8((char)0x80));
      const __m256i inputs = _mm256_sign_epi8(four_inputs(FOUR_INPUTS(x, four)), weight);
      sum += (vi)_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(weight), inputs), ones);
    }
    return sum;
  }
  _Pragma("GCC unroll 4") for (int first = from; first < to; first += FOURS_IN_16_BITS(bits)) {
    __m256i pairs = _mm256_maddubs_epi16((__m256i)weights[first], four_inputs(FOUR_INPUTS(x, first)));
    for (int four = first + 1; four < first + FOURS_IN_16_BITS(bits) && four < to; four++) {
      pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16((__m256i)weights[four], four_inputs(FOUR_INPUTS(x, four))));
    }
    sum += (vi)_mm256_madd_epi16(pairs, ones);
  }
  return sum;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_avx2
#define TABLE_NAME "avx2"
#define USABLE esp_cpu_has_avx2
#include "table.h"
#endif
