/* topk.c - a sorted list of the best so far, and a threshold that most logits fail at once. */
#include "topk.h"

#include <math.h>
#include <stdbool.h>

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
  for (int32_t token = 0; count < k; token++) {
    bool listed = false;
    for (int32_t i = 0; i < count; i++) listed |= tokens[i] == token;
    if (listed) continue;
    tokens[count] = token;
    values[count++] = -INFINITY;
  }
}
