/* half.h - 16-bit floats without help from the processor: every value exact, rounding half to even. */
#ifndef ESP_HALF_H
#define ESP_HALF_H

#include <stdint.h>
#include <string.h>

static inline float esp_widen(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, magnitude = half & 0x7fff, bits;
  float value;
  if (magnitude >= 0x7c00) bits = 0x7f800000 | (magnitude & 0x3ff) << 13; /* infinity, not a number */
  else if (magnitude >= 0x400) bits = (magnitude << 13) + ((127 - 15) << 23);
  else { /* subnormal: magnitude * 2^-24, exact */
    value = (float)magnitude * 5.9604644775390625e-8f;
    memcpy(&bits, &value, sizeof bits);
  }
  bits |= sign;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static inline uint16_t esp_narrow(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  uint32_t sign = bits >> 16 & 0x8000, magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
  if (magnitude >= 0x477ff000) return (uint16_t)(sign | 0x7c00); /* rounds to infinity */
  if (magnitude < 0x38800000) { /* below 2^-14: subnormal or zero; adding 0.5 rounds at 2^-24, half to even */
    float scaled;
    memcpy(&scaled, &magnitude, sizeof scaled);
    scaled += 0.5f;
    memcpy(&bits, &scaled, sizeof bits);
    return (uint16_t)(sign | (bits - 0x3f000000));
  }
  uint32_t odd = magnitude >> 13 & 1;
  return (uint16_t)(sign | ((magnitude + 0xfff + odd - ((127 - 15) << 23)) >> 13));
}

#endif
