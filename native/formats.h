/* formats.h - what is in a block of each kind of weights that the kernels multiply with (EspMatrix.type). */
#ifndef ESP_FORMATS_H
#define ESP_FORMATS_H

#include "espalier.h"

/* weight = scale * (quant - zero) + min */
typedef struct {
  int bits, zero; /* of quants */
  int scales; /* of a block: 1, or 2 for 16 inputs each; bits is 0 for a kind that is not kept in memory */
  bool min;
  bool super; /* scales and minima are codes times what 8 blocks share */
} EspFormat;

static inline __attribute__((always_inline)) EspFormat esp_format(int32_t type) {
  switch (type) {
    case ESP_GGUF_Q4_0: return (EspFormat){4, 8, 1, false, false};
    case ESP_GGUF_Q4_1: return (EspFormat){4, 0, 1, true, false};
    case ESP_GGUF_Q5_0: return (EspFormat){5, 16, 1, false, false};
    case ESP_GGUF_Q5_1: return (EspFormat){5, 0, 1, true, false};
    case ESP_GGUF_Q8_0: return (EspFormat){8, 128, 1, false, false};
    case ESP_GGUF_Q2_K: return (EspFormat){2, 0, 2, true, true};
    case ESP_GGUF_Q3_K: return (EspFormat){3, 4, 2, false, true};
    case ESP_GGUF_Q4_K: return (EspFormat){4, 0, 1, true, true};
    case ESP_GGUF_Q5_K: return (EspFormat){5, 0, 1, true, true};
    case ESP_GGUF_Q6_K: return (EspFormat){6, 32, 2, false, true};
    default: return (EspFormat){0};
  }
}

/* The parts of a group, in bytes: of a block the scales (or the minima), both, and the quants; what stands before 8 blocks that share. */
static inline size_t esp_scale_bytes(EspFormat format) { return (size_t)ESP_GROUP * (size_t)(format.super ? format.scales : 2); }
static inline size_t esp_head_bytes(EspFormat format) { return esp_scale_bytes(format) * (format.min ? 2 : 1); }
static inline size_t esp_quant_bytes(int bits) { return (size_t)(ESP_BLOCK * ESP_GROUP / 8 * bits); }
enum { ESP_SHARED_BYTES = 2 * ESP_GROUP * 2 };

/* Where what belongs to a block is, in bytes from the beginning of its group; minima lie behind as many bytes of scales. */
typedef struct {
  size_t shared, head, quants;
} EspPlace;

static inline EspPlace esp_place(EspFormat format, int32_t block) {
  const size_t head = esp_head_bytes(format), quants = esp_quant_bytes(format.bits), odd = (size_t)block % 2;
  const size_t shared = format.super ? ESP_SHARED_BYTES : 0, pairs = (size_t)block / 2, supers = (size_t)block / ESP_SUPER;
  const size_t pair = pairs * 2 * (head + quants) + (supers + 1) * shared;
  return (EspPlace){
      .shared = supers * (ESP_SHARED_BYTES + ESP_SUPER * (head + quants)),
      .head = pair + odd * head,
      .quants = pair + 2 * head + odd * quants,
  };
}

#endif
