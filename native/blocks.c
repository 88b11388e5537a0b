/*
 * blocks.c - reads the blocks of weights that GGUF files have. Quants, scales and minima are moved, never changed, but where a comment
 * says so. Any bytes are a block: nothing here can go wrong.
 */
#include "blocks.h"

#include "half.h"

typedef void Reader(const uint8_t *block, int index, EspBlock *to);

static uint16_t half_at(const uint8_t *bytes) { return (uint16_t)(bytes[0] | bytes[1] << 8); }
static uint16_t negated(uint16_t half) { return half ^ 0x8000; }

/* 32 nibbles: the low ones of 16 bytes, then the high ones. */
static int nibble(const uint8_t *bytes, int i) { return i < 16 ? bytes[i] & 15 : bytes[i - 16] >> 4; }

/* ---- blocks of 32 ----------------------------------------------------------------------------------------------- */

static void read_q4_0(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  to->scale = half_at(block);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)nibble(block + 2, i);
}

static void read_q4_1(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  to->scale = half_at(block);
  to->min = half_at(block + 2);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)nibble(block + 4, i);
}

/* Bit i of four bytes, then nibbles. */
static void read_5_bits(const uint8_t *bytes, EspBlock *to) {
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)(nibble(bytes + 4, i) | (bytes[i / 8] >> i % 8 & 1) << 4);
}

static void read_q5_0(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  to->scale = half_at(block);
  read_5_bits(block + 2, to);
}

static void read_q5_1(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  to->scale = half_at(block);
  to->min = half_at(block + 2);
  read_5_bits(block + 4, to);
}

static void read_q8_0(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  to->scale = half_at(block);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = block[2 + i] ^ 0x80;
}

/* Its 16 values, which a nibble chooses from, fit in 8 bits. */
static void read_iq4_nl(const uint8_t *block, int index, EspBlock *to) {
  static const int8_t values[16] = {-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113};
  (void)index;
  to->scale = half_at(block);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)(values[nibble(block + 2, i)] + 128);
}

/* ---- super-blocks of 256 ---------------------------------------------------------------------------------------- */

/* 2 bits of 128 values lie in 32 bytes: value i in bits 2 * (i / 32) of byte i % 32. */
static int two_bits(const uint8_t *bytes, int index, int i) { return bytes[index / 4 * 32 + i] >> index % 4 * 2 & 3; }

static void read_q2_k(const uint8_t *super, int index, EspBlock *to) {
  to->scale = half_at(super + 80);
  to->min = negated(half_at(super + 82));
  for (int part = 0; part < 2; part++) {
    const uint8_t codes = super[2 * index + part];
    to->scale_codes[part] = codes & 15;
    to->min_codes[part] = (int8_t)(codes >> 4);
  }
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)two_bits(super + 16, index, i);
}

static void read_q3_k(const uint8_t *super, int index, EspBlock *to) {
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
static void read_6_bit_codes(const uint8_t *codes, int index, EspBlock *to) {
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

static void read_q4_k(const uint8_t *super, int index, EspBlock *to) {
  to->scale = half_at(super);
  to->min = negated(half_at(super + 2));
  read_6_bit_codes(super + 4, index, to);
  for (int i = 0; i < ESP_BLOCK; i++) to->quants[i] = (uint8_t)four_bits(super + 16, index, i);
}

static void read_q5_k(const uint8_t *super, int index, EspBlock *to) {
  to->scale = half_at(super);
  to->min = negated(half_at(super + 2));
  read_6_bit_codes(super + 4, index, to);
  for (int i = 0; i < ESP_BLOCK; i++) {
    to->quants[i] = (uint8_t)(four_bits(super + 48, index, i) | (super[16 + i] >> index & 1) << 4);
  }
}

static void read_q6_k(const uint8_t *super, int index, EspBlock *to) {
  to->scale = half_at(super + 208);
  memcpy(to->scale_codes, super + 192 + 2 * index, 2);
  const uint8_t *low = super + index / 4 * 64 + index % 2 * 32;
  for (int i = 0; i < ESP_BLOCK; i++) {
    to->quants[i] = (uint8_t)((low[i] >> index % 4 / 2 * 4 & 15) | two_bits(super + 128, index, i) << 4);
  }
}

/* ---- floats: rounded to 8 bits ---------------------------------------------------------------------------------- */

/* Scale = largest / 127, rounded so that the largest weight is within a quant of 127. */
static void round_to_8_bits(const float *values, EspBlock *to) {
  enum { MOST_HALF = 0x7bff };
  float largest = 0;
  for (int i = 0; i < ESP_BLOCK; i++) {
    const float magnitude = values[i] < 0 ? -values[i] : values[i];
    largest = magnitude > largest ? magnitude : largest;
  }
  uint16_t half = esp_narrow(largest / 127.0f);
  if (esp_widen(half) * 127.0f < largest) half++;
  if (half > MOST_HALF) half = MOST_HALF;
  to->scale = half;
  const float inverse = half ? 1.0f / esp_widen(half) : 0, shifter = 12582912.0f; /* 1.5 * 2^23: adding it rounds to an integer */
  for (int i = 0; i < ESP_BLOCK; i++) {
    const float quant = values[i] * inverse;
    /* What is not a number becomes -127. */
    to->quants[i] = (uint8_t)(int)((quant >= -127.0f ? quant < 127.0f ? quant : 127.0f : -127.0f) + shifter - shifter + 128.0f);
  }
}

static void read_f32(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  float values[ESP_BLOCK];
  memcpy(values, block, sizeof values);
  round_to_8_bits(values, to);
}

static void read_f16(const uint8_t *block, int index, EspBlock *to) {
  (void)index;
  float values[ESP_BLOCK];
  for (int i = 0; i < ESP_BLOCK; i++) values[i] = esp_widen(half_at(block + 2 * i));
  round_to_8_bits(values, to);
}

static void read_bf16(const uint8_t *block, int index, EspBlock *to) {
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

int32_t esp_kept_type(int32_t source) { return source_of(source).kept; }

size_t esp_matrix_row_bytes(int32_t source, int32_t cols) {
  const Source from = source_of(source);
  if (from.kept < 0 || cols < 1 || cols % (ESP_BLOCK * from.blocks)) return 0;
  return (size_t)(cols / (ESP_BLOCK * from.blocks)) * (size_t)from.bytes;
}

void esp_read_block(int32_t source, const uint8_t *row, int32_t index, EspBlock *to) {
  const Source from = source_of(source);
  from.read(row + (size_t)(index / from.blocks) * (size_t)from.bytes, index % from.blocks, to);
}
