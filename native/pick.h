/*
 * pick.h - the token with the best logit and noise together (Gumbel-max): src/target/pick.ts and nucleus.ts, which have the same bits, for every row. A drafter,
 * which does not know the target's logits but knows the noise, ranks its candidates in the same way.
 */
#include "noise.h"

#include <float.h>

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

/*
 * Of those exactly `reach` below, ids up to `last` alone. Noise is looked up for tokens that may still win by the bound on it; floats differ from doubles
 * by far less than the margin.
 */
static int32_t pick_within(const float *logits, int32_t size, int32_t top, uint32_t key, double scale, double reach, int32_t last) {
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
      if (!maybe[token - at] || !(delta <= reach) || (delta == reach && token > last)) continue;
      const double score = esp_gumbel(key, token) - delta;
      if (!(score > best || (score == best && token < choice))) continue;
      choice = token;
      best = score;
      needed = (float)best - margin;
    }
  }
  return choice;
}

static double sum_parts(const vf sum[PARTS]) {
  float parts[16];
  EACH_PART store(parts + part * LANES, sum[part]);
  return (double)tree_sum(parts);
}

/* Tokens whose weights are summed up in floats; what blocks have is summed up in doubles. */
enum { WEIGHED = 512 };

/*
 * Top-p (arXiv:1904.09751): has what comes before a token, of higher logits or of equal ones and lower ids, less than `top_p` of the probability of all? Sums in
 * one order never fall when a term is added, so what is kept comes before all that is not.
 */
static bool in_nucleus(const float *logits, int32_t size, int32_t top, int32_t token, double scale, double top_p) {
  const vf most = splat(logits[top]), own = splat(logits[token]), factor = splat((float)(scale < FLT_MAX ? scale : FLT_MAX));
  double total = 0, before = 0;
  for (int32_t begin = 0; begin < size; begin += WEIGHED) {
    const int32_t end = begin + WEIGHED < size ? begin + WEIGHED : size;
    vf all[PARTS] = {0}, ahead[PARTS] = {0};
    for (int32_t at = begin; at < end; at += 16) {
      EACH_PART {
        const vf logit = load(logits + at + part * LANES);
        const vi id = places() + (at + part * LANES);
        const vf weight = (vf)((vi)exponential_of_less((logit - most) * factor) & (id < size));
        all[part] = all[part] + weight;
        ahead[part] = ahead[part] + (vf)((vi)weight & ((logit > own) | ((logit == own) & (id < token))));
      }
    }
    total += sum_parts(all);
    before += sum_parts(ahead);
  }
  return before < top_p * total;
}

static int32_t pick(const float *logits, int32_t size, int32_t top, uint32_t key, const EspPick *rule) {
  int32_t choice = pick_within(logits, size, top, key, rule->scale, rule->reach, size);
  /* Where it is not kept, neither is what comes behind it: the best of what comes before is next. */
  while (choice != top && rule->top_p < 1 && !in_nucleus(logits, size, top, choice, rule->scale, rule->top_p)) {
    const double delta = ((double)logits[top] - (double)logits[choice]) * rule->scale;
    choice = pick_within(logits, size, top, key, rule->scale, delta, choice - 1);
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
