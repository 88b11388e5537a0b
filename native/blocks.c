/*
 * blocks.c - reads the blocks of weights that GGUF files have. Quants, scales and minima are moved, never changed, but where a comment
 * says so. Any bytes are a block: nothing here can go wrong.
 */
#include "blocks.h"

#include "half.h"

typedef void Reader(const uint8_t *restrict block, int index, EspBlock *restrict to);

static uint16_t half_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }
static uint16_t negated(uint16_t half) { return half ^ 0x8000; }

/* 32 nibbles: the low ones of 16 bytes, then the high ones. */
static void read_nibbles(const uint8_t *restrict bytes, EspBlock *restrict to) {
  for (int i = 0; i < ESP_BLOCK / 2; i++) to->quants[i] = bytes[i] & 15;
  for (int i = 0; i < ESP_BLOCK / 2; i++) to->quants[ESP_BLOCK / 2 + i] = bytes[i] >> 4;
}

/* ---- blocks of 32 ----------------------------------------------------------------------------------------------- */

static void read_q4_0(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  to->scale = half_at(block);
  read_nibbles(block + 2, to);
}

static void read_q4_1(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  to->scale = half_at(block);
  to->min = half_at(block + 2);
  read_nibbles(block + 4, to);
}

/* Bit i of four bytes, then nibbles. */
static void read_5_bits(const uint8_t *restrict bytes, EspBlock *restrict to) {
  read_nibbles(bytes + 4, to);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] |= (uint8_t)((bytes[i / 8] >> i % 8 & 1) << 4);
}

static void read_q5_0(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  to->scale = half_at(block);
  read_5_bits(block + 2, to);
}

static void read_q5_1(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  to->scale = half_at(block);
  to->min = half_at(block + 2);
  read_5_bits(block + 4, to);
}

static void read_q8_0(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  to->scale = half_at(block);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = block[2 + i] ^ 0x80;
}

/* Its 16 values, which a nibble chooses from, fit in 8 bits. */
static void read_iq4_nl(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  static const int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  (void)index;
  to->scale = half_at(block);
  read_nibbles(block + 2, to);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)(values[to->quants[i]] + 128);
}

/* ---- super-blocks of 256 ---------------------------------------------------------------------------------------- */

/* 2 bits of 128 values lie in 32 bytes: value i in bits 2 * (i / 32) of byte i % 32. */
static int two_bits(const uint8_t *bytes, int index, int i) { return bytes[index / 4 * 32 + i] >> index % 4 * 2 & 3; }

static void read_q2_k(const uint8_t *restrict super, int index, EspBlock *restrict to) {
  to->scale = half_at(super + 80);
  to->min = negated(half_at(super + 82));
  for (int part = 0; part < 2; part++) {
    const uint8_t codes = super[2 * index + part];
    to->scale_codes[part] = codes & 15;
    to->min_codes[part] = (int8_t)(codes >> 4);
  }
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)two_bits(super + 16, index, i);
}

static void read_q3_k(const uint8_t *restrict super, int index, EspBlock *restrict to) {
  to->scale = half_at(super + 108);
  const uint8_t *codes = super + 96;
  for (int part = 0; part < 2; part++) {
    const int at = 2 * index + part;
    const int low = at < 8 ? codes[at] & 15 : codes[at - 8] >> 4, high = codes[8 + at % 4] >> at / 4 * 2 & 3;
    to->scale_codes[part] = (int8_t)((low | high << 4) - 32);
  }
  for (int i = 0; i < ESP_BLOCK; i++) {
    to->quants[i] = (uint8_t)(two_bits(super + 32, index, i) | (super[i] >> index & 1) << 2);
  }
}

/* Scales and minima of 8 blocks, 6 bits each, in 12 bytes. */
static void read_6_bit_codes(const uint8_t *restrict codes, int index, EspBlock *restrict to) {
  if (index < 4) {
    to->scale_codes[0] = codes[index] & 63;
    to->min_codes[0] = codes[index + 4] & 63;
  } else {
    to->scale_codes[0] = (int8_t)((codes[index + 4] & 15) | codes[index - 4] >> 6 << 4);
    to->min_codes[0] = (int8_t)(codes[index + 4] >> 4 | codes[index] >> 6 << 4);
  }
}

/* 4 bits of two blocks lie in 32 bytes. */
static int four_bits(const uint8_t *bytes, int index, int i) { return bytes[index / 2 * 32 + i] >> index % 2 * 4 & 15; }

static void read_q4_k(const uint8_t *restrict super, int index, EspBlock *restrict to) {
  to->scale = half_at(super);
  to->min = negated(half_at(super + 2));
  read_6_bit_codes(super + 4, index, to);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)four_bits(super + 16, index, i);
}

static void read_q5_k(const uint8_t *restrict super, int index, EspBlock *restrict to) {
  to->scale = half_at(super);
  to->min = negated(half_at(super + 2));
  read_6_bit_codes(super + 4, index, to);
  for (int i = 0; i < ESP_BLOCK; i++) {
    to->quants[i] = (uint8_t)(four_bits(super + 48, index, i) | (super[16 + i] >> index & 1) << 4);
  }
}

static void read_q6_k(const uint8_t *restrict super, int index, EspBlock *restrict to) {
  to->scale = half_at(super + 208);
  memcpy(to->scale_codes, super + 192 + 2 * index, 2);
  const uint8_t *low = super + index / 4 * 64 + index % 2 * 32;
  for (int i = 0; i < ESP_BLOCK; i++) {
    to->quants[i] = (uint8_t)((low[i] >> index % 4 / 2 * 4 & 15) | two_bits(super + 128, index, i) << 4);
  }
}

/* ---- floats: rounded to 8 bits ---------------------------------------------------------------------------------- */

/* largest / 127 as a half: the next above where rounding would leave `largest` beyond 127 of it. */
static uint16_t half_of_127th(float largest) {
  enum { MOST_HALF = 0x7bff };
  uint16_t half = esp_narrow(largest / 127.0f);
  if (esp_widen(half) * 127.0f < largest) half++;
  return half > MOST_HALF ? MOST_HALF : half;
}

/* To the nearest integer from `least` to `most`, half to even; what is not a number becomes `least`. */
static int rounded(float x, float least, float most) {
  const float shifter = 12582912.0f; /* 1.5 * 2^23 */
  return (int)((x > least ? x < most ? x : most : least) + shifter - shifter);
}

static float magnitude(float x) { return x < 0 ? -x : x; }

static void round_to_8_bits(const float *values, EspBlock *to) {
  float largest = 0;
  for (int i = 0; i < ESP_BLOCK; i++) largest = magnitude(values[i]) > largest ? magnitude(values[i]) : largest;
  to->scale = half_of_127th(largest);
  const float inverse = to->scale ? 1.0f / esp_widen(to->scale) : 0;
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)(rounded(values[i] * inverse, -127, 127) + 128);
}

static void read_f32(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  float values[ESP_BLOCK];
  memcpy(values, block, sizeof values);
  round_to_8_bits(values, to);
}

static void read_f16(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  float values[ESP_BLOCK];
  for (int i = 0; i < ESP_BLOCK; i++) values[i] = esp_widen(half_at(block + 2 * i));
  round_to_8_bits(values, to);
}

static void read_bf16(const uint8_t *restrict block, int index, EspBlock *restrict to) {
  (void)index;
  float values[ESP_BLOCK];
  for (int i = 0; i < ESP_BLOCK; i++) {
    const uint32_t bits = (uint32_t)half_at(block + 2 * i) << 16;
    memcpy(&values[i], &bits, sizeof bits);
  }
  round_to_8_bits(values, to);
}

/* ---- kinds ------------------------------------------------------------------------------------------------------ */

typedef struct {
  int32_t blocks; /* of 32, in a block of the file */
  int32_t bytes; /* of a block of the file */
  Reader *read;
  int32_t kept;
} Source;

static Source source_of(int32_t type) {
  switch (type) {
    case ESP_GGUF_F32: return (Source){1, 128, read_f32, ESP_GGUF_Q8_0};
    case ESP_GGUF_F16: return (Source){1, 64, read_f16, ESP_GGUF_Q8_0};
    case ESP_GGUF_BF16: return (Source){1, 64, read_bf16, ESP_GGUF_Q8_0};
    case ESP_GGUF_Q4_0: return (Source){1, 18, read_q4_0, ESP_GGUF_Q4_0};
    case ESP_GGUF_Q4_1: return (Source){1, 20, read_q4_1, ESP_GGUF_Q4_1};
    case ESP_GGUF_Q5_0: return (Source){1, 22, read_q5_0, ESP_GGUF_Q5_0};
    case ESP_GGUF_Q5_1: return (Source){1, 24, read_q5_1, ESP_GGUF_Q5_1};
    case ESP_GGUF_Q8_0: return (Source){1, 34, read_q8_0, ESP_GGUF_Q8_0};
    case ESP_GGUF_IQ4_NL: return (Source){1, 18, read_iq4_nl, ESP_GGUF_Q8_0};
    case ESP_GGUF_Q2_K: return (Source){ESP_SUPER, 84, read_q2_k, ESP_GGUF_Q2_K};
    case ESP_GGUF_Q3_K: return (Source){ESP_SUPER, 110, read_q3_k, ESP_GGUF_Q3_K};
    case ESP_GGUF_Q4_K: return (Source){ESP_SUPER, 144, read_q4_k, ESP_GGUF_Q4_K};
    case ESP_GGUF_Q5_K: return (Source){ESP_SUPER, 176, read_q5_k, ESP_GGUF_Q5_K};
    case ESP_GGUF_Q6_K: return (Source){ESP_SUPER, 210, read_q6_k, ESP_GGUF_Q6_K};
    default: return (Source){.kept = -1};
  }
}

int32_t esp_kept_type(int32_t source, bool four_bit) {
  const int32_t kept = source_of(source).kept;
  return four_bit && kept >= 0 && esp_format(kept).bits > 4 ? ESP_GGUF_Q4_K : kept;
}

size_t esp_matrix_row_bytes(int32_t source, int32_t cols) {
  const Source from = source_of(source);
  if (from.kept < 0 || cols < 1 || cols % (ESP_BLOCK * from.blocks)) return 0;
  return (size_t)(cols / (ESP_BLOCK * from.blocks)) * (size_t)from.bytes;
}

void esp_block_values(int32_t type, const EspBlock *block, float *values) {
  const EspFormat format = esp_format(type);
  for (int i = 0; i < ESP_BLOCK; i++) {
    const int part = i * format.scales / ESP_BLOCK;
    float scale = esp_widen(block->scale), min = format.min ? esp_widen(block->min) : 0;
    if (format.super) scale *= (float)block->scale_codes[part], min *= (float)block->min_codes[part];
    values[i] = (float)(block->quants[i] - format.zero) * scale + min;
  }
}

void esp_read_block(int32_t source, const uint8_t *row, int32_t index, EspBlock *to) {
  const Source from = source_of(source);
  from.read(row + (size_t)(index / from.blocks) * (size_t)from.bytes, index % from.blocks, to);
}

/* ---- rounding to 4 bits ----------------------------------------------------------------------------------------- */

enum { LANES = 4, VECTORS = ESP_BLOCK / LANES };
typedef float vf __attribute__((vector_size(LANES * 4)));
typedef int32_t vi __attribute__((vector_size(LANES * 4)));

/* weight = scale * quant + min; gain is what it takes off the sum of squares that is left. */
typedef struct {
  float scale, min, gain;
} Fit;

static vf choose(vi mask, vf yes, vf no) { return (vf)(((vi)yes & mask) | ((vi)no & ~mask)); }
static vf smaller(vf a, vf b) { return choose(a < b, a, b); }
static vf larger(vf a, vf b) { return choose(a > b, a, b); }
static float sum_of(vf a) { return (a[0] + a[1]) + (a[2] + a[3]); }

/* (x - min) * inverse as quants: 0 to 15, half to even. */
static vf quants_of(vf x, float min, float inverse) {
  const vf zero = {0}, shifter = 12582912.0f - zero;
  return smaller(larger((x - min) * inverse, zero), 15.0f - zero) + shifter - shifter;
}

/* The scale and minimum that fit best, by least squares, the quants that these ones give. */
static Fit refit(const vf *x, float total, float scale, float min) {
  const float inverse = 1.0f / scale;
  vf sum = {0}, squares = {0}, products = {0};
  for (int i = 0; i < VECTORS; i++) {
    const vf quant = quants_of(x[i], min, inverse);
    sum += quant;
    squares += quant * quant;
    products += quant * x[i];
  }
  const float q = sum_of(sum), qq = sum_of(squares), qx = sum_of(products), spread = qq - q * q / ESP_BLOCK;
  if (!(spread > 0)) return (Fit){0, total / ESP_BLOCK, total * total / ESP_BLOCK};
  Fit fit = {.scale = (qx - q * total / ESP_BLOCK) / spread};
  fit.min = (total - fit.scale * q) / ESP_BLOCK;
  fit.gain = fit.scale * qx + fit.min * total;
  return fit;
}

/* The best of some steps across the block's range, then improved as in Lloyd's algorithm. */
static Fit best_fit(const float *values) {
  static const float steps[] = {13.5f, 14.25f, 15.0f, 15.75f, 16.5f, 17.5f};
  vf x[VECTORS];
  memcpy(x, values, sizeof x);
  vf least = x[0], most = x[0], totals = x[0];
  for (int i = 1; i < VECTORS; i++) {
    least = smaller(x[i], least);
    most = larger(x[i], most);
    totals += x[i];
  }
  const float total = sum_of(totals);
  float low = least[0], high = most[0];
  for (int i = 1; i < LANES; i++) {
    low = least[i] < low ? least[i] : low;
    high = most[i] > high ? most[i] : high;
  }
  Fit best = {0, total / ESP_BLOCK, total * total / ESP_BLOCK};
  if (!(high > low)) return best;
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    const float scale = (high - low) / steps[i];
    const Fit fit = refit(x, total, scale, (low + high) * 0.5f - 7.5f * scale);
    if (fit.gain > best.gain) best = fit;
  }
  for (int i = 0; i < 2 && best.scale > 0; i++) {
    const Fit fit = refit(x, total, best.scale, best.min);
    if (fit.gain > best.gain) best = fit;
  }
  return best;
}

void esp_blocks_of_4_bits(const float *values, int count, EspBlock *to) {
  Fit fits[ESP_SUPER];
  float largest_scale = 0, largest_min = 0;
  for (int b = 0; b < count; b++) {
    fits[b] = best_fit(values + b * ESP_BLOCK);
    largest_scale = fits[b].scale > largest_scale ? fits[b].scale : largest_scale;
    largest_min = magnitude(fits[b].min) > largest_min ? magnitude(fits[b].min) : largest_min;
  }
  const uint16_t scale = half_of_127th(largest_scale), min = half_of_127th(largest_min);
  const float scale_unit = esp_widen(scale), min_unit = esp_widen(min);
  for (int b = 0; b < count; b++, to++) {
    /* A scale is at least 1 unit, so that weights of small blocks stay apart. */
    const int scale_code = scale ? rounded(fits[b].scale / scale_unit, fits[b].scale > 0, 127) : 0;
    const int min_code = min ? rounded(fits[b].min / min_unit, -127, 127) : 0;
    to->scale = scale;
    to->min = min;
    to->scale_codes[0] = (int8_t)scale_code;
    to->min_codes[0] = (int8_t)min_code;
    const float step = scale_unit * (float)scale_code, low = min_unit * (float)min_code;
    for (int i = 0; i < ESP_BLOCK; i += LANES) {
      vf x;
      memcpy(&x, values + b * ESP_BLOCK + i, sizeof x);
      const vi quants = __builtin_convertvector(quants_of(x, low, scale_code ? 1.0f / step : 0), vi);
      for (int lane = 0; lane < LANES; lane++) to->quants[i + lane] = (uint8_t)quants[lane];
    }
  }
}
