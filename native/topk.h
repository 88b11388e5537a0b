/* topk.h - the k largest of a row of logits. */
#ifndef ESP_TOPK_H
#define ESP_TOPK_H

#include <stdint.h>

/*
 * The k largest of `size` logits, largest first, ties to the lower index. maxima[i] is the largest of the i-th chunk of
 * `chunk` logits: chunks that cannot contribute are skipped. Where fewer than k are comparable (not a number), the
 * lowest indices not listed fill up, with -infinity.
 */
void esp_top_k(const float *logits, int32_t size, const float *maxima, int32_t chunk, int32_t k, int32_t *tokens,
               float *values);

#endif
