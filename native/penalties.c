/* penalties.c - logits of what the text holds, made larger or smaller: src/target/penalties.ts, which has the same bits. */
#include "pass.h"

#include <math.h>

static bool in_vocabulary(const int32_t *tokens, int32_t count, int32_t vocab) {
  for (int32_t i = 0; i < count; i++) {
    if (tokens[i] < 0 || tokens[i] >= vocab) return false;
  }
  return true;
}

const char *esp_penalties_expect(const EspTree *tree, int32_t vocab) {
  const EspPenalties *penalties = &tree->penalties;
  const double repetition = penalties->repetition;
  if (repetition == 0) return NULL;
  if (!(repetition > 0) || !isfinite(repetition) || !isfinite(penalties->frequency) || !isfinite(penalties->presence))
    return "a penalty is out of range";
  if (penalties->count < 0 || !in_vocabulary(penalties->tokens, penalties->count, vocab) ||
      !in_vocabulary(tree->tokens, tree->size, vocab)) {
    return "a token with a penalty is not in the vocabulary";
  }
  for (int32_t i = 0; i < penalties->count; i++) {
    if (penalties->generated[i] < 0 || penalties->generated[i] > INT32_MAX - ESP_MAX_NODES) return "a token was not generated so often";
  }
  return NULL;
}

static float penalised(const EspPenalties *penalties, double logit, int32_t generated) {
  const double repeated = logit > 0 ? logit / penalties->repetition : logit * penalties->repetition;
  return (float)(repeated - penalties->frequency * generated - (generated > 0 ? penalties->presence : 0));
}

/* How often the text up to the root has generated a token. */
static int32_t generated_before(const EspPenalties *penalties, int32_t token) {
  int32_t generated = 0;
  for (int32_t i = 0; i < penalties->count; i++) generated += penalties->tokens[i] == token ? penalties->generated[i] : 0;
  return generated;
}

void esp_penalise(const EspTree *tree, int32_t node, float *logits, float *maxima, int32_t chunk) {
  const EspPenalties *penalties = &tree->penalties;
  const uint16_t *ancestors = tree->cache->ancestors[node];
  const int32_t depth = tree->cache->depths[node];
  int32_t path[ESP_MAX_NODES];
  float before[ESP_MAX_NODES];
  for (int32_t i = 0; i < depth; i++) {
    path[i] = tree->tokens[ancestors[i + 1]];
    before[i] = logits[path[i]];
  }
  for (int32_t i = 0; i < penalties->count; i++) {
    const int32_t token = penalties->tokens[i];
    logits[token] = penalised(penalties, logits[token], penalties->generated[i]);
    if (logits[token] > maxima[token / chunk]) maxima[token / chunk] = logits[token];
  }
  for (int32_t i = 0; i < depth; i++) {
    const int32_t token = path[i];
    int32_t generated = generated_before(penalties, token);
    for (int32_t k = 0; k < depth; k++) generated += path[k] == token;
    logits[token] = penalised(penalties, before[i], generated);
    if (logits[token] > maxima[token / chunk]) maxima[token / chunk] = logits[token];
  }
}
