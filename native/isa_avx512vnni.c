/* isa_avx512vnni.c - AVX-512 with VNNI: 16 lanes; one instruction multiplies 4 inputs of 16 rows. */
#if defined(__x86_64__) || defined(_M_X64)
#include "cpu.h"
#include "kernels.h"

#include <immintrin.h>

#define LANES 16
#define REGISTER_ROWS 12
#define MOST_SCORE_QUERIES 12
#define MOST_VALUE_QUERIES 6
#define LARGER(a, b) ((vf)_mm512_max_ps((__m512)(a), (__m512)(b)))
#define LARGEST_OF(a) _mm512_reduce_max_ps((__m512)(a))
#define ANY_OF(mask) (_mm512_test_epi32_mask((__m512i)(mask), (__m512i)(mask)) != 0)
#define SUM_OF(a) _mm512_reduce_add_epi32((__m512i)(a))
#define FUSED(a, b, sum) ((vf)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(sum)))
#define ROUNDED(a) ((vi)_mm512_cvtps_epi32((__m512)(a)))
#define NEAREST(a) ((vf)_mm512_roundscale_ps((__m512)(a), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC))
#define TIMES_POWER(a, n) ((vf)_mm512_scalef_ps((__m512)(a), (__m512)(n)))
#define ADD_PAIRS(sum, a, b) ((vi)_mm512_dpwssd_epi32((__m512i)(sum), (__m512i)(a), (__m512i)(b)))
#define WIDEN_BYTES(from) ((vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(from))))
#define NARROW_BYTES(to, value) _mm_storeu_si128((__m128i *)(to), _mm512_cvtepi32_epi8((__m512i)(value)))
#include "vectors.h"
#include "quants.h"

INLINE vf load_half(const uint16_t *from) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)from)); }
typedef vi Dots;

INLINE Dots begin(int32_t start) { return start - (vi){0}; }
/* Written out, because with intrinsics the repeated inputs are loaded into a register of their own first. */
INLINE Dots add_products(Dots to, vw weights, const int bits, const int four, const int fours, const int8_t *x) {
  (void)bits, (void)fours;
  __asm__("vpdpbusd %2%{1to16%}, %1, %0" : "+v"(to) : "v"(weights), "m"(*(const int8_t(*)[4])FOUR_INPUTS(x, four)));
  return to;
}
INLINE vi finish(Dots dots, int32_t start) {
  (void)start;
  return dots;
}

#include "ops.h"
#include "matmul.h"
#include "attention.h"
#include "pick.h"

#define TABLE esp_kernels_avx512vnni
#define TABLE_NAME "avx512vnni"
#define USABLE esp_cpu_has_avx512vnni
#include "table.h"
#endif
