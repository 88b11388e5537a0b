/* topk.h - the k largest of a row of logits. */
#ifndef ESP_TOPK_H
#define ESP_TOPK_H

#include "espalier.h"

#include <stdint.h>

/*
 * The k largest of `size` logits, largest first, ties to the lower index. None of the i-th chunk of `chunk` logits is larger than
 * maxima[i]: chunks that cannot contribute are skipped. Where fewer than k are comparable (not a number), the
 * lowest indices not listed fill up, with -infinity.
 */
void esp_top_k(const float *logits, int32_t size, const float *maxima, int32_t chunk, int32_t k, int32_t *tokens,
               float *values);

/* The `most` best rows under the noise of `key`, best first, of equals the one that came first. */
typedef struct {
  uint32_t key;
  double scale;
  int32_t most, count;
  int32_t *rows; /* most */
  double scores[ESP_MAX_TOP_K];
} EspRanking;

/* Puts a row in its place, if that is among the best. */
void esp_rank(EspRanking *ranking, int32_t row, double score);

/* Where fewer than `most` were ranked, the lowest of the others follow. */
void esp_rank_others(EspRanking *ranking);

#endif
