/* isa_avx2.c - AVX2 with FMA and F16C: 8 lanes; maddubs for the dot product. */
#if defined(__x86_64__) || defined(_M_X64)
#include "eight_lanes.h"

/* Products of 4-bit weights and int8 inputs are at most 15 * 127, so a pair's sum eight times over fits in 16 bits. */
INLINE void dot4(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const __m256i nibble = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  EACH_PART {
    __m256i weights[8];
    _Pragma("GCC unroll 4") for (int line = 0; line < 4; line++) {
      __m256i both = _mm256_load_si256((const __m256i *)(quants + 64 * line + 32 * part));
      __builtin_prefetch(quants + 64 * line + AHEAD);
      weights[2 * line] = _mm256_and_si256(both, nibble);
      weights[2 * line + 1] = _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    }
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      __m256i pairs = _mm256_maddubs_epi16(weights[0], four_inputs(FOUR_INPUTS(x, j, 0)));
      _Pragma("GCC unroll 8") for (int i = 1; i < 8; i++) {
        pairs = _mm256_add_epi16(pairs, _mm256_maddubs_epi16(weights[i], four_inputs(FOUR_INPUTS(x, j, i))));
      }
      sum[j][part] += (vi)_mm256_madd_epi16(pairs, ones);
    }
  }
}

/*
 * 8-bit weights times int8 would overflow maddubs, which saturates; so the product takes |weight| <= 128 and gives the
 * input the weight's sign: at most 2 * 128 * 127 < 32768. The stored offset of 128 is taken off first and so is not in
 * the sums: what starts8 added for it is added back.
 */
INLINE void dot8(const uint8_t *quants, const int8_t *x, const int width, vi (*sum)[PARTS]) {
  const __m256i offset = _mm256_set1_epi8((char)0x80), ones = _mm256_set1_epi16(1);
  _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
    EACH_PART sum[j][part] = (vi){0};
  }
  EACH_PART {
    _Pragma("GCC unroll 8") for (int line = 0; line < 8; line++) {
      __m256i weights = _mm256_xor_si256(_mm256_load_si256((const __m256i *)(quants + 64 * line + 32 * part)), offset);
      __builtin_prefetch(quants + 64 * line + AHEAD);
      __m256i magnitude = _mm256_abs_epi8(weights);
      _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
        __m256i inputs = _mm256_sign_epi8(four_inputs(FOUR_INPUTS(x, j, line)), weights);
        sum[j][part] += (vi)_mm256_madd_epi16(_mm256_maddubs_epi16(magnitude, inputs), ones);
      }
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
