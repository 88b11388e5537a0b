/* isa_avx2.c - AVX2 with FMA and F16C: 8 lanes; maddubs for the dot product. */
#if defined(__x86_64__) || defined(_M_X64)
#define EIGHT_BITS_SIGNED
#include "eight_lanes.h"

/*
 * maddubs adds two products in 16 bits, which saturate. An input is at most 127, so the sums of this many fours fit:
 * 2 * 127 * (2^bits - 1) * fours < 2^15.
 */
#define FOURS_IN_16_BITS(bits) ((bits) <= 4 ? 8 : (bits) == 5 ? 4 : 2)

/* 8-bit weights would overflow; so the product takes |weight - 128| and gives the input the sign: see EIGHT_BITS_SIGNED. */
INLINE void dot_8_bits(const uint8_t *quants, const int part, const int8_t *x, const int width, vi *sum) {
  const __m256i zero = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi16(1);
  __m256i weights[8];
  _Pragma("GCC unroll 8") for (int four = 0; four < 8; four++) {
    weights[four] = _mm256_xor_si256((__m256i)four_weights(quants, 8, four, part), zero);
  }
  for (int j = 0; j < width; j++) {
    _Pragma("GCC unroll 8") for (int four = 0; four < 8; four++) {
      const __m256i inputs = _mm256_sign_epi8(four_inputs(FOUR_INPUTS(x, j, four)), weights[four]);
      sum[j] += (vi)_mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(weights[four]), inputs), ones);
    }
  }
}

/* Adds the products of fours [from, to) of a block to the sums of every row of a tile. */
INLINE void dot(const uint8_t *quants, const int bits, const int from, const int to, const int part, const int8_t *x, const int width,
                vi *sum) {
  if (bits == 8) {
    dot_8_bits(quants, part, x, width, sum);
    return;
  }
  const __m256i ones = _mm256_set1_epi16(1);
  __m256i weights[8];
  _Pragma("GCC unroll 8") for (int four = from; four < to; four++) weights[four] = (__m256i)four_weights(quants, bits, four, part);
  _Pragma("GCC unroll 1") for (int j = 0; j < width; j++) {
    _Pragma("GCC unroll 4") for (int first = from; first < to; first += FOURS_IN_16_BITS(bits)) {
      __m256i pairs = _mm256_maddubs_epi16(weights[first], four_inputs(FOUR_INPUTS(x, j, first)));
      for (int i = 1; i < FOURS_IN_16_BITS(bits); i++) {
        if (first + i < to) pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[first + i], four_inputs(FOUR_INPUTS(x, j, first + i))));
      }
      sum[j] += (vi)_mm256_madd_epi16(pairs, ones);
    }
  }
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"

#define TABLE esp_kernels_avx2
#define TABLE_NAME "avx2"
#define USABLE esp_cpu_has_avx2
#include "table.h"
#endif
