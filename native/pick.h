/*
 * pick.h - the token with the best logit and noise together (Gumbel-max): src/target/pick.ts, which has the same bits, for every row. A drafter,
 * which does not know the target's logits but knows the noise, ranks its candidates in the same way.
 */
#include "noise.h"

typedef uint32_t vu __attribute__((vector_size(LANES * 4)));

INLINE vu mix_lanes(vu x) { return ESP_MIX(x); }

INLINE bool any_of(vi mask) {
#ifdef ANY_OF
  return ANY_OF(mask);
#else
  int32_t any = 0;
  for (int i = 0; i < LANES; i++) any |= mask[i];
  return any != 0;
#endif
}

/*
 * At least the noise -log(-log(u)) of hash h, u = (h + 0.5) / 2^32: that is at most -log(1 - u), and 1 - u at least v / 2^31 for
 * v = (2^32 - 1 - h) / 2. The logarithm of v to base 2 is at least the bits of v as a float, divided by 2^23 and less 127, and at most 0.09 more.
 */
INLINE vf most_noise(vu hash) {
  const vf rest = __builtin_convertvector((vi)(~hash >> 1), vf);
  return 158 * 0.69314718f - __builtin_convertvector((vi)rest, vf) * (0.69314718f / 8388608);
}

/* Noise is looked up for tokens that may still win by the bound on it; floats differ from doubles by far less than the margin. */
static int32_t pick(const float *logits, int32_t size, int32_t top, uint32_t key, double scale, double reach) {
  const float margin = 1e-3f, most = logits[top];
  int32_t choice = top;
  double best = esp_gumbel(key, top);
  float needed = (float)best - margin;
  vu salted;
  for (int i = 0; i < LANES; i++) salted[i] = (uint32_t)i + ESP_TOKEN_SALT;
  for (int32_t at = 0; at < size; at += LANES, salted += LANES) {
    const vf below = (load(logits + at) - most) * (float)scale;
    /* What is not a number passes both tests. */
    const vi maybe = ~(below + most_noise(mix_lanes(key ^ mix_lanes(salted))) < needed);
    if (!any_of(maybe)) continue;
    for (int32_t token = at; token < at + LANES && token < size; token++) {
      const double delta = ((double)most - (double)logits[token]) * scale;
      if (!maybe[token - at] || !(delta <= reach)) continue;
      const double score = esp_gumbel(key, token) - delta;
      if (!(score > best || (score == best && token < choice))) continue;
      choice = token;
      best = score;
      needed = (float)best - margin;
    }
  }
  return choice;
}

static void rank(const float *logits, const int32_t *ids, int32_t size, int32_t first, float most, EspRanking *ranking) {
  const float margin = 1e-3f;
  const double scale = ranking->scale;
  for (int32_t at = 0; at < size; at += LANES) {
    const int32_t lanes = at + LANES < size ? LANES : size - at;
    vu tokens = {0};
    memcpy(&tokens, ids + at, (size_t)lanes * sizeof *ids);
    const vf below = (load(logits + at) - most) * (float)scale;
    const vf needed = (vf){0} + (ranking->count < ranking->most ? -INFINITY : (float)ranking->scores[ranking->most - 1] - margin);
    /* What is not a number passes. */
    const vi maybe = ~(below + most_noise(mix_lanes(ranking->key ^ mix_lanes(tokens + ESP_TOKEN_SALT))) < needed);
    if (!any_of(maybe)) continue;
    for (int32_t i = 0; i < lanes; i++) {
      const double score = ((double)logits[at + i] - (double)most) * scale + esp_gumbel(ranking->key, ids[at + i]);
      if (maybe[i] && score > -INFINITY) esp_rank(ranking, first + at + i, score);
    }
  }
}
