/* noise.h - Gumbel noise that is looked up by seed, position and token: what src/random.ts computes, bit for bit. */
#ifndef ESP_NOISE_H
#define ESP_NOISE_H

#include "numbers.h"

#include <stdint.h>

/* Of a number, or of each of a vector. */
#define ESP_MIX(x) ((x) = ((x) ^ (x) >> 16) * 0x21f0aaadu, (x) = ((x) ^ (x) >> 15) * 0x735a2d97u, (x) ^ (x) >> 15)

static inline uint32_t esp_mix(uint32_t x) { return ESP_MIX(x); }

static inline uint32_t esp_position_key(uint32_t seed, int32_t position) {
  return esp_mix(esp_mix(seed) + ((uint32_t)position + 1) * 0x9e3779b9u);
}

#define ESP_TOKEN_SALT 0x85ebca6bu

static inline double esp_gumbel(uint32_t key, int32_t token) {
  const uint32_t hash = esp_mix(key ^ esp_mix((uint32_t)token + ESP_TOKEN_SALT));
  return -esp_log(-esp_log((hash + 0.5) / 4294967296.0));
}

#endif
