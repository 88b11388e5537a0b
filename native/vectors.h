/*
 * vectors.h - the little vector algebra that ops.h, matmul.h and attention.h are written in. An instruction set's file
 * defines LANES, includes this, and defines load_half(). One vector operation is one IEEE operation on each
 * lane, so the same code gives the same bits however wide the vectors are; `-ffp-contract=off` leaves it to
 * multiply_add() where a product and a sum round once. Sums over many values always use 16 partial sums, in 16 / LANES vectors, and one final tree.
 */
#include <math.h>
#include <string.h>

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef int8_t vb __attribute__((vector_size(LANES)));
typedef int16_t vs __attribute__((vector_size(LANES * 2)));

/* How far ahead of its use a line of weights is asked for, in bytes. */
#ifndef AHEAD
#define AHEAD 6144
#endif

#define PARTS (16 / LANES)
#define INLINE static inline __attribute__((always_inline))
#define EACH_PART _Pragma("GCC unroll 4") for (int part = 0; part < PARTS; part++)

INLINE vf load_half(const uint16_t *from);

INLINE vf load(const float *from) {
  vf value;
  memcpy(&value, from, sizeof value);
  return value;
}
INLINE vi load_int(const int32_t *from) {
  vi value;
  memcpy(&value, from, sizeof value);
  return value;
}
INLINE void store(float *to, vf value) { memcpy(to, &value, sizeof value); }
INLINE void store_int(int32_t *to, vi value) { memcpy(to, &value, sizeof value); }
INLINE vf splat(float value) { return value - (vf){0}; }
INLINE vi splat_int(int32_t value) { return value - (vi){0}; }
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
/* a > b ? a : b, lane by lane. */
INLINE vf larger(vf a, vf b) {
#ifdef LARGER
  return LARGER(a, b);
#else
  return choose(a > b, a, b);
#endif
}
/* Adding 0 makes 0 of -0, since which of the two is larger is told differently. */
INLINE float largest_of(vf a) {
#ifdef LARGEST_OF
  return LARGEST_OF(a) + 0.0f;
#else
  float most = a[0];
  for (int i = 1; i < LANES; i++) most = a[i] > most ? a[i] : most;
  return most + 0.0f;
#endif
}
INLINE int32_t sum_of(vi a) {
#ifdef SUM_OF
  return SUM_OF(a);
#else
  int32_t sum = 0;
  for (int i = 0; i < LANES; i++) sum += a[i];
  return sum;
#endif
}
/* Signed bytes as integers, and integers within their range as signed bytes. */
INLINE vi widen_bytes(const int8_t *from) {
#ifdef WIDEN_BYTES
  return WIDEN_BYTES(from);
#else
  vb bytes;
  memcpy(&bytes, from, sizeof bytes);
  return __builtin_convertvector(bytes, vi);
#endif
}
INLINE void narrow_bytes(int8_t *to, vi value) {
#ifdef NARROW_BYTES
  NARROW_BYTES(to, value);
#else
  const vb bytes = __builtin_convertvector(value, vb);
  memcpy(to, &bytes, sizeof bytes);
#endif
}
/* 0, 1, ... by lane. */
INLINE vi places(void) {
  vi value;
  for (int i = 0; i < LANES; i++) value[i] = i;
  return value;
}
/* Integers within their range as signed 16-bit words. */
INLINE void narrow_words(int16_t *to, vi value) {
  const vs words = __builtin_convertvector(value, vs);
  memcpy(to, &words, sizeof words);
}
INLINE vi low_words(vi a) { return ((a & 0xffff) ^ 0x8000) - 0x8000; }
/* sum + the products of the two 16-bit halves of each lane. */
INLINE vi add_pairs(vi sum, vi a, vi b) {
#ifdef ADD_PAIRS
  return ADD_PAIRS(sum, a, b);
#else
  return sum + low_words(a) * low_words(b) + (a >> 16) * (b >> 16);
#endif
}
INLINE vf absolute(vf a) { return (vf)((vi)a & 0x7fffffff); }

/* sum + a * b, rounded once: the same bits wherever there is a fused multiply-add, in hardware (FUSED) or not. */
INLINE vf multiply_add(vf a, vf b, vf sum) {
#ifdef FUSED
  return FUSED(a, b, sum);
#else
  for (int i = 0; i < LANES; i++) sum[i] = __builtin_fmaf(a[i], b[i], sum[i]);
  return sum;
#endif
}

/* Inputs 4 * four and after of a row of a block. */
#define FOUR_INPUTS(x, four) ((x) + (four) * 4)

/* Rounded half to even, for |t| < 2^22. */
INLINE vf nearest(vf t) {
#ifdef NEAREST
  return NEAREST(t);
#else
  const vf shifter = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
  return (t + shifter) - shifter;
#endif
}

/* The fixed final tree of 16 partial sums. */
INLINE float tree_sum(const float part[16]) {
  typedef float Four __attribute__((vector_size(16)));
  Four of[4];
  memcpy(of, part, sizeof of);
  const Four sum = (of[0] + of[2]) + (of[1] + of[3]);
  return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

/* e^t within 2 units in the last place, for t from -87.3 to 88: never infinite, never 0. */
INLINE vf exponential_within(vf t) {
  vf shifter = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
  vf shifted = multiply_add(t, splat(1.44269504f), shifter);
  vf n = shifted - shifter;
  vf r = multiply_add(n, splat(-0.693359375f), t);
  r = multiply_add(n, splat(2.12194440e-4f), r);
  vf p = multiply_add(r, splat(1.9875691500e-4f), splat(1.3981999507e-3f));
  p = multiply_add(p, r, splat(8.3334519073e-3f));
  p = multiply_add(p, r, splat(4.1665795894e-2f));
  p = multiply_add(p, r, splat(1.6666665459e-1f));
  p = multiply_add(p, r, splat(5.0000001201e-1f));
  p = multiply_add(p, r * r, r) + 1.0f;
#ifdef TIMES_POWER
  return TIMES_POWER(p, n);
#else
  vi scale = (((vi)shifted - (vi)shifter) + 127) << 23;
  return p * (vf)scale;
#endif
}
/* The same for any x, clamped to these bounds, or to the lower one where it is 0 at most. What is not a number is taken as the lower one. */
INLINE vf exponential(vf x) { return exponential_within(-larger(-larger(x, splat(-87.3f)), splat(-88.0f))); }
INLINE vf exponential_of_less(vf x) { return exponential_within(larger(x, splat(-87.3f))); }

/*
 * unit * 2^t within 5e-7 of itself for any t up to 0, clamped to -126: never 0. `unit` is a power of 2. A minimax polynomial of 2^t from -1/2 to 1/2 that is 1 at 0.
 */
INLINE vf power_of_two(vf t, const float unit) {
  t = larger(t, splat(-126.0f));
  const vf n = nearest(t), r = t - n;
  vf p = multiply_add(r, splat(unit * 1.112550730e-3f), splat(unit * 9.666282684e-3f));
  p = multiply_add(p, r, splat(unit * 5.557400361e-2f));
  p = multiply_add(p, r, splat(unit * 2.402235121e-1f));
  p = multiply_add(p, r, splat(unit * 6.931428313e-1f));
  p = multiply_add(p, r, splat(unit));
#ifdef TIMES_POWER
  return TIMES_POWER(p, n);
#else
  return p * (vf)((__builtin_convertvector(n, vi) + 127) << 23);
#endif
}
