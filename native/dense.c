/* dense.c - a layer of a small network beside a model, apart from any pass: one vector through one matrix. */
#include "kernels.h"
#include "memory.h"

#include <string.h>

enum { LINE = 64 };

/* `size` bytes of `memory` from `*at` on, which begin and end at lines; with no memory it only counts them. */
static void *take(uint8_t *memory, size_t *at, size_t size) {
  uint8_t *start = memory ? memory + *at : NULL;
  *at += (size + LINE - 1) / LINE * LINE;
  return start;
}

/* Places one row of input, the output of whole groups and as many ones in `memory`; gives the bytes they take. */
static size_t lay_out(const EspMatrix *matrix, uint8_t *memory, EspActivations *in, float **out, float **ones) {
  const size_t blocks = (size_t)matrix->blocks, words = blocks * sizeof(float);
  size_t at = 0;
  in->quants = take(memory, &at, blocks * ESP_BLOCK);
  in->scales = take(memory, &at, words);
  in->masses = take(memory, &at, words);
  in->starts4 = take(memory, &at, words);
  in->starts5 = take(memory, &at, words);
  in->starts8 = take(memory, &at, words);
  in->starts6 = take(memory, &at, 2 * words);
  *out = take(memory, &at, (size_t)matrix->groups * ESP_GROUP * sizeof **out);
  *ones = take(memory, &at, (size_t)matrix->groups * ESP_GROUP * sizeof **ones);
  return at;
}

bool esp_dense(const EspMatrix *matrix, const float *bias, const float *x, float *out) {
  const int32_t padded = matrix->groups * ESP_GROUP;
  EspActivations in = {.rows = 1, .blocks = matrix->blocks};
  float *sums, *ones;
  uint8_t *memory = esp_alloc(lay_out(matrix, NULL, &in, &sums, &ones));
  if (!memory) return false;
  lay_out(matrix, memory, &in, &sums, &ones);
  const EspKernels *kernels = esp_kernels();
  kernels->quantize(x, &in, 0, 0, matrix->blocks);
  kernels->matmul(matrix, &in, 0, matrix->groups, sums, (size_t)padded);
  for (int32_t i = 0; i < padded; i++) {
    ones[i] = 1;
    if (i < matrix->rows) sums[i] += bias[i];
  }
  kernels->silu_times(sums, ones, padded);
  memcpy(out, sums, (size_t)matrix->rows * sizeof *out);
  esp_free(memory);
  return true;
}
