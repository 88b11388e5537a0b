/*
 * input.c - what a pass begins with: rows are embedded tokens or hidden states, and in a draft head a token and a feature each,
 * joined. Here each row's position also becomes the angles that turn its queries and keys.
 */
#include "pass.h"

#include "numbers.h"

static void find_angles(EspStack *stack, int32_t rope, int32_t row, int32_t position) {
  const EspStackSpec *spec = &stack->spec;
  const int32_t half = spec->rope_dims / 2;
  const double *frequencies = stack->frequencies + rope * half, amplitude = (double)spec->rope[rope].amplitude;
  float *cosines = stack->cosines + angles_of(spec, rope, row), *sines = stack->sines + angles_of(spec, rope, row);
  for (int32_t i = 0; i < half; i++) {
    double sine, cosine;
    esp_sincos(position * frequencies[i], &sine, &cosine);
    const int32_t a = spec->rope_neox ? i : 2 * i, b = spec->rope_neox ? i + half : 2 * i + 1;
    cosines[a] = cosines[b] = (float)(cosine * amplitude);
    sines[b] = (float)(sine * amplitude);
    sines[a] = -sines[b];
  }
}

static void begin_rows(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  for (int32_t row = from; row < to; row++) {
    const EspTree *tree = tree_of(worker, row);
    float *x = stream_of(worker, row);
    if (is_draft_head(spec)) {
      /* Token and feature are joined later. */
    } else if (run->pass->input) {
      memcpy(x, run->pass->input + (size_t)row * (size_t)spec->hidden, (size_t)spec->hidden * sizeof *x);
    } else {
      run->kernels->dequantize_row(spec->embedding, tree->tokens[worker->rows->node[row]], x);
      for (int32_t i = 0; spec->embedding_scale != 1 && i < spec->hidden; i++) x[i] = x[i] * spec->embedding_scale;
    }
    const int32_t position = position_of(worker, row);
    for (int32_t rope = 0; rope < spec->ropes; rope++) find_angles(stack, rope, row, position);
  }
}

/* ---- a draft head's input --------------------------------------------------------------------------------------- */

static void prepare_fuse(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const int32_t width = spec->fuse ? spec->fuse->cols : spec->hidden;
  for (int32_t row = from; row < to; row++) {
    float *normed = spec->fuse ? worker->normed : stack->product + (size_t)row * stack->product_stride;
    for (int32_t part = 0; part * spec->hidden < width; part++) {
      const size_t at = (size_t)part * (size_t)spec->hidden;
      norm_row(run, run->pass->input + (size_t)row * (size_t)width + at, spec->fuse_norm ? spec->fuse_norm + at : NULL, normed + at);
    }
    if (spec->fuse) run->kernels->quantize(normed, &stack->fuse_in, row, 0, width / ESP_BLOCK);
  }
}

static void project_fuse(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  EspStack *stack = worker->run->stack;
  worker->run->kernels->matmul(stack->spec.fuse, &stack->fuse_in, from, to, stack->product, stack->product_stride);
}

static void prepare_join(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const size_t hidden = (size_t)spec->hidden;
  for (int32_t row = from; row < to; row++) {
    float *x = stream_of(worker, row);
    run->kernels->dequantize_row(spec->embedding, tree_of(worker, row)->tokens[worker->rows->node[row]], x);
    norm_row(run, x, spec->token_norm, worker->normed);
    const float *feature = run->pass->fuse ? stack->product + (size_t)row * stack->product_stride
                                           : run->pass->input + (size_t)row * hidden;
    norm_row(run, feature, spec->feature_norm, worker->normed + hidden);
    run->kernels->quantize(worker->normed, &stack->join_in, row, 0, 2 * spec->hidden / ESP_BLOCK);
    if (spec->wide) memcpy(x, feature, hidden * sizeof *x);
  }
}

static void project_join(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t first = from * ESP_GROUP, last = to * ESP_GROUP < stack->spec.hidden ? to * ESP_GROUP : stack->spec.hidden;
  run->kernels->matmul(stack->spec.join, &stack->join_in, from, to, stack->product, stack->product_stride);
  for (int32_t row = 0; row < worker->rows->count; row++) {
    float *x = stream_of(worker, row) + first;
    memcpy(x, stack->product + (size_t)row * stack->product_stride + first, (size_t)(last - first) * sizeof *x);
    if (stack->spec.join_bias) run->kernels->add(x, stack->spec.join_bias + first, last - first);
  }
}

void esp_run_input(Worker *worker) {
  const Run *run = worker->run;
  const EspStackSpec *spec = &run->stack->spec;
  const EspPass *pass = run->pass;
  const int32_t rows = worker->rows->count;
  esp_phase(worker, 0, rows, 1, begin_rows);
  if (is_draft_head(spec) && pass->fuse) {
    esp_phase(worker, 0, rows, 1, prepare_fuse);
    if (spec->fuse) esp_phase(worker, 0, spec->fuse->groups, grain_of(run, spec->fuse->groups), project_fuse);
  }
  if (is_draft_head(spec)) {
    esp_phase(worker, 0, rows, 1, prepare_join);
    if (spec->join) esp_phase(worker, 0, spec->join->groups, grain_of(run, spec->join->groups), project_join);
  }
}
