/* layer.c - a decoder layer: attention's products and the feed-forward, each from a norm to what is added to the residual stream. */
#include "pass.h"

/* Rows [from, to), normed, as the input of a product. */
static void prepare(Worker *worker, const float *weight, EspActivations *to_in, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStackSpec *spec = &run->stack->spec;
  for (int32_t row = from; row < to; row++) {
    norm_row(run, stream_of(worker, row), weight, worker->normed);
    run->kernels->quantize(worker->normed, to_in, row, 0, spec->hidden / ESP_BLOCK);
  }
}

static void prepare_attention(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  prepare(worker, worker->run->stack->layer[layer].attention_norm, &worker->rows->hidden_in, from, to);
}
static void prepare_feed(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  prepare(worker, worker->run->stack->layer[layer].feed_norm, &worker->rows->hidden_in, from, to);
}

/* Norm as a phase of its own, or by each thread for itself. */
static void prepare_all(Worker *worker, int32_t layer, const float *weight, Piece *piece) {
  EspStack *stack = worker->run->stack;
  const Rows *rows = worker->rows;
  if (!rows->own) {
    esp_phase(worker, layer, rows->count, 1, piece);
    return;
  }
  EspActivations *own = &stack->own_in[worker->thread];
  shape(own, rows->count, stack->spec.hidden);
  prepare(worker, weight, own, 0, rows->count);
}

/* Pieces are rows of 16 outputs, and behind them (tree, key head): what the commits before this pass kept moves where it belongs. */
static void project_qkv(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspLayer *weights = &stack->layer[layer];
  const EspMatrix *matrices[3] = {weights->query, weights->key, weights->value};
  const float *biases[3] = {weights->query_bias, weights->key_bias, weights->value_bias};
  const EspActivations *in = stack->spec.wide ? &stack->join_in : input(worker, worker->rows->own, &worker->rows->hidden_in);
  int32_t start = 0;
  for (int i = 0; i < 3; i++) {
    const int32_t groups = matrices[i]->groups;
    const int32_t first = from > start ? from - start : 0, last = to - start < groups ? to - start : groups;
    if (first < last) {
      float *out = stack->qkv + (size_t)start * ESP_GROUP;
      run->kernels->matmul(matrices[i], in, first, last, out, stack->qkv_stride);
      for (int32_t row = 0; biases[i] && row < worker->rows->count; row++) {
        run->kernels->add(out + (size_t)row * stack->qkv_stride + (size_t)first * ESP_GROUP,
                          biases[i] + (size_t)first * ESP_GROUP, (last - first) * ESP_GROUP);
      }
    }
    start += groups;
  }
  for (int32_t move = from > start ? from - start : 0; move < to - start; move++)
    esp_cache_move(run->pass->trees[move / stack->spec.kv_heads].cache, layer, move % stack->spec.kv_heads);
}

/* A product that is added to the residual stream; with a norm, add_normed() does that once it is whole. */
static void add_product(Worker *worker, const EspMatrix *matrix, const EspActivations *in, const float *norm, int32_t from,
                        int32_t to) {
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t hidden = stack->spec.hidden;
  run->kernels->matmul(matrix, in, from, to, stack->product, stack->product_stride);
  const int32_t begin = from * ESP_GROUP, end = to * ESP_GROUP < hidden ? to * ESP_GROUP : hidden;
  for (int32_t row = 0; !norm && row < worker->rows->count; row++) {
    run->kernels->add(stream_of(worker, row) + begin, stack->product + (size_t)row * stack->product_stride + begin, end - begin);
  }
}
static void project_output(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  EspStack *stack = worker->run->stack;
  const EspLayer *weights = &stack->layer[layer];
  const EspActivations *in = input(worker, worker->rows->own_join, &worker->rows->attended_in);
  add_product(worker, weights->output, in, weights->attention_post_norm, from, to);
}
static void project_down(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  EspStack *stack = worker->run->stack;
  add_product(worker, stack->layer[layer].down, &worker->rows->feed_in, stack->layer[layer].feed_post_norm, from, to);
}

static void add_normed(Worker *worker, const float *norm, int32_t from, int32_t to) {
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t hidden = stack->spec.hidden;
  for (int32_t row = from; row < to; row++) {
    const float *product = stack->product + (size_t)row * stack->product_stride;
    run->kernels->rms_norm(product, norm, worker->normed, hidden, stack->spec.norm_epsilon);
    run->kernels->add(stream_of(worker, row), worker->normed, hidden);
  }
}
static void add_attended(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  add_normed(worker, worker->run->stack->layer[layer].attention_post_norm, from, to);
}
static void add_fed(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  add_normed(worker, worker->run->stack->layer[layer].feed_post_norm, from, to);
}

/* Pieces are blocks of 32 values: both products, up times the opened gate, and the input of the next product. */
static void project_gate_up(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  Rows *rows = worker->rows;
  const EspActivations *in = input(worker, rows->own, &rows->hidden_in);
  void (*open_gate)(float *, const float *, int32_t) =
      stack->spec.activation == ESP_GELU ? run->kernels->gelu_times : run->kernels->silu_times;
  run->kernels->matmul(stack->layer[layer].gate, in, 2 * from, 2 * to, stack->gate, stack->feed_stride);
  run->kernels->matmul(stack->layer[layer].up, in, 2 * from, 2 * to, stack->up, stack->feed_stride);
  for (int32_t row = 0; row < rows->count; row++) {
    float *gate = stack->gate + (size_t)row * stack->feed_stride;
    const float *up = stack->up + (size_t)row * stack->feed_stride;
    open_gate(gate + from * ESP_BLOCK, up + from * ESP_BLOCK, (to - from) * ESP_BLOCK);
    run->kernels->quantize(gate, &rows->feed_in, row, from, to);
  }
}

bool esp_run_layer(Worker *worker, int32_t layer) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const EspLayer *weights = &stack->layer[layer];
  if (!spec->wide) prepare_all(worker, layer, weights->attention_norm, prepare_attention);
  const int32_t qkv_groups = weights->query->groups + weights->key->groups + weights->value->groups;
  const int32_t moves = run->owing ? run->pass->tree_count * spec->kv_heads : 0;
  esp_phase(worker, layer, qkv_groups + moves, grain_of(run, qkv_groups), project_qkv);
  if (atomic_load(&run->stop)) return false;
  esp_keep_keys(worker, layer);
  if (layer == run->pass->to - 1) worker->rows = run->last;
  const int32_t rows = worker->rows->count;
  if (rows == 0) return true;
  esp_run_attention(worker, layer);
  esp_phase(worker, layer, weights->output->groups, grain_of(run, weights->output->groups), project_output);
  if (weights->attention_post_norm) esp_phase(worker, layer, rows, 1, add_attended);

  prepare_all(worker, layer, weights->feed_norm, prepare_feed);
  const int32_t blocks = spec->feed / ESP_BLOCK;
  esp_phase(worker, layer, blocks, grain_of(run, blocks), project_gate_up);
  esp_phase(worker, layer, weights->down->groups, grain_of(run, weights->down->groups), project_down);
  if (weights->feed_post_norm) esp_phase(worker, layer, rows, 1, add_fed);
  return true;
}
