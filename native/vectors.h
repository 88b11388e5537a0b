/*
 * vectors.h - the little vector algebra that ops.h, matmul.h and attention.h are written in. An instruction set's file
 * defines LANES, includes this, and defines load_half() and store_half(). One vector operation is one IEEE operation on each
 * lane, so the same code gives the same bits however wide the vectors are; `-ffp-contract=off` keeps multiply and add
 * apart. Sums over many values always use 16 partial sums, in 16 / LANES vectors, and one final tree.
 */
#include <math.h>
#include <string.h>

typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));
typedef int8_t vb __attribute__((vector_size(LANES)));

/* How far ahead of its use a line of weights is asked for, in bytes. */
#ifndef AHEAD
#define AHEAD 8192
#endif

#define PARTS (16 / LANES)
#define INLINE static inline __attribute__((always_inline))
#define EACH_PART _Pragma("GCC unroll 4") for (int part = 0; part < PARTS; part++)

INLINE vf load_half(const uint16_t *from);
INLINE void store_half(uint16_t *to, vf value);

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
INLINE vf splat(float value) { return value - (vf){0}; }
INLINE vf choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
INLINE vf larger(vf a, vf b) { return choose(a > b, a, b); }
INLINE vf absolute(vf a) { return (vf)((vi)a & 0x7fffffff); }

/*
 * sum + a * b where a and b hold values of 16-bit floats: their product has at most 22 bits and is exact, so a fused
 * multiply-add gives the bits of a multiply and an add. An instruction set with one defines FUSED.
 */
#ifdef FUSED
INLINE vf add_exact_product(vf sum, vf a, vf b) { return FUSED(a, b, sum); }
#else
INLINE vf add_exact_product(vf sum, vf a, vf b) { return sum + a * b; }
#endif

/* Rounded to the nearest 16-bit float, half to even. */
INLINE vf to_half(vf value) {
  uint16_t narrow[LANES];
  store_half(narrow, value);
  return load_half(narrow);
}

/* The input's quants are [row][32]: input 4 * four of a row of the tile. */
#define FOUR_INPUTS(x, row, four) ((x) + (row) * ESP_BLOCK + (four) * 4)

/* The fixed final tree of 16 partial sums. */
INLINE float tree_sum(const float part[16]) {
  float a[8], b[4];
  for (int i = 0; i < 8; i++) a[i] = part[i] + part[i + 8];
  for (int i = 0; i < 4; i++) b[i] = a[i] + a[i + 4];
  return (b[0] + b[2]) + (b[1] + b[3]);
}

/* e^x within 2 units in the last place; 0 below -87.3, and no larger than e^88. */
INLINE vf exponential(vf x) {
  vf low = splat(-87.3f), high = splat(88.0f);
  vi tiny = x < low;
  vf t = choose(tiny, low, x);
  t = choose(t > high, high, t);
  vf shifter = splat(12582912.0f); /* 1.5 * 2^23: adding it rounds to an integer */
  vf shifted = t * 1.44269504f + shifter;
  vf n = shifted - shifter;
  vf r = t - n * 0.693359375f;
  r = r + n * 2.12194440e-4f;
  vf p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  vi scale = (((vi)shifted - (vi)shifter) + 127) << 23;
  return choose(tiny, splat(0), p * (vf)scale);
}
