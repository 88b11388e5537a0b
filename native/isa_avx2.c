/* isa_avx2.c - AVX2 with FMA and F16C: 8 lanes; maddubs for the dot product. */
#if defined(__x86_64__) || defined(_M_X64)
#define EIGHT_BITS_SIGNED
#define ADD_PAIRS(sum, a, b) ((sum) + (vi)_mm256_madd_epi16((__m256i)(a), (__m256i)(b)))
#include "eight_lanes.h"

/*
 * maddubs adds two products in 16 bits, which saturate. An input is at most 127, so the sums of this many fours fit:
 * 2 * 127 * (2^bits - 1) * fours < 2^15.
 */
#define FOURS_IN_16_BITS(bits) ((bits) <= 4 ? 8 : (bits) == 5 ? 4 : (bits) == 6 ? 2 : 1)

/* Without it compilers put off additions until their terms fill all registers. */
#define IN_ORDER(sum) __asm__("" : "+x"(sum))

typedef struct {
  vi sum;
  __m256i pairs; /* sums of products that are not in `sum` yet */
} Dots;

INLINE Dots begin(int32_t start) {
  (void)start;
  return (Dots){0};
}

INLINE Dots add_products(Dots to, vw weights, const int bits, const int four, const int fours, const int8_t *x) {
  const int at = four % fours, most = FOURS_IN_16_BITS(bits);
  __m256i products;
  if (bits == 8) {
    /* Even one would overflow; so the product takes |weight - 128| and gives the input the sign: see EIGHT_BITS_SIGNED. */
    const __m256i weight = _mm256_xor_si256((__m256i)weights, _mm256_set1_epi8((char)0x80));
    products = _mm256_maddubs_epi16(_mm256_abs_epi8(weight), _mm256_sign_epi8(four_inputs(FOUR_INPUTS(x, four)), weight));
  } else {
    products = _mm256_maddubs_epi16((__m256i)weights, four_inputs(FOUR_INPUTS(x, four)));
  }
  to.pairs = at % most == 0 ? products : _mm256_add_epi16(to.pairs, products);
  IN_ORDER(to.pairs);
  if ((at + 1) % most == 0 || at + 1 == fours) {
    const vi sums = (vi)_mm256_madd_epi16(to.pairs, _mm256_set1_epi16(1));
    to.sum = at < most ? sums : to.sum + sums;
    IN_ORDER(to.sum);
  }
  return to;
}

INLINE vi finish(Dots dots, int32_t start) { return dots.sum + start; }

#include "ops.h"
#include "matmul.h"
#include "attention.h"
#include "pick.h"

#define TABLE esp_kernels_avx2
#define TABLE_NAME "avx2"
#define USABLE esp_cpu_has_avx2
#include "table.h"
#endif
