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

static inline size_t esp_quant_bytes(int bits) { return (size_t)(ESP_BLOCK * ESP_GROUP / 8 * bits); }

#endif
