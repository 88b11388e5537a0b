/* topk.c - a sorted list of the best so far, and a threshold that most logits fail at once. */
#include "topk.h"

#include <math.h>
#include <stdbool.h>

/* The lowest index that is not in a list. */
static int32_t first_other(const int32_t *list, int32_t count) {
  for (int32_t index = 0;; index++) {
    bool listed = false;
    for (int32_t i = 0; i < count; i++) listed |= list[i] == index;
    if (!listed) return index;
  }
}

void esp_top_k(const float *logits, int32_t size, const float *maxima, int32_t chunk, int32_t k, int32_t *tokens,
               float *values) {
  int32_t count = 0;
  float least = -INFINITY;
  for (int32_t begin = 0, c = 0; begin < size; begin += chunk, c++) {
    if (count == k && !(maxima[c] > least)) continue;
    const int32_t end = begin + chunk < size ? begin + chunk : size;
    for (int32_t token = begin; token < end; token++) {
      const float value = logits[token];
      if (!(count < k ? value > -INFINITY : value > least)) continue;
      int32_t at = count < k ? count++ : k - 1;
      for (; at > 0 && values[at - 1] < value; at--) {
        values[at] = values[at - 1];
        tokens[at] = tokens[at - 1];
      }
      values[at] = value;
      tokens[at] = token;
      if (count == k) least = values[k - 1];
    }
  }
  for (; count < k; count++) {
    tokens[count] = first_other(tokens, count);
    values[count] = -INFINITY;
  }
}

void esp_rank(EspRanking *ranking, int32_t row, double score) {
  const int32_t most = ranking->most;
  if (ranking->count == most && !(score > ranking->scores[most - 1])) return;
  int32_t at = ranking->count < most ? ranking->count++ : most - 1;
  for (; at > 0 && ranking->scores[at - 1] < score; at--) {
    ranking->scores[at] = ranking->scores[at - 1];
    ranking->rows[at] = ranking->rows[at - 1];
  }
  ranking->scores[at] = score;
  ranking->rows[at] = row;
}

void esp_rank_others(EspRanking *ranking) {
  for (; ranking->count < ranking->most; ranking->count++) ranking->rows[ranking->count] = first_other(ranking->rows, ranking->count);
}
