/*
 * stack.c - the pass: decoder layers over the rows of token trees, then the head. All threads run layers() together;
 * a phase is cut into pieces that threads claim, and ends in a barrier. No memory is allocated inside a pass.
 */
#include "stack.h"

#include "cache.h"
#include "memory.h"
#include "noise.h"
#include "numbers.h"
#include "topk.h"

#include <math.h>
#include <string.h>

enum {
  OWN_ROWS = 8, /* with so few rows every thread prepares a product's input itself: cheaper than a barrier and lines from another core */
  OWN_SPANS = 32, /* and joins attention's spans itself, where its rows have so few together */
  JOB_ROWS = 16, /* rows of one piece of attention, at most */
  MOST_HEAD = 1024, /* values of a head */
  HEAD_CHUNK = 32, /* groups of the head in one piece */
};

/* One piece of attention, the same in every layer. */
typedef struct AttentionJob {
  int32_t tree, row_from, rows, kv_head, span_from, span_to;
  int32_t shallowest; /* least depth of its rows */
} AttentionJob;

typedef struct {
  _Alignas(64) atomic_int next;
} Claim;

typedef struct {
  EspStack *stack;
  const EspPass *pass;
  const EspKernels *kernels;
  int32_t rows, output_rows;
  int32_t vocab, groups, chunks; /* of the head, with the other rows of this pass */
  int32_t row_tree[ESP_MAX_NODES], row_node[ESP_MAX_NODES]; /* which tree and node a row is */
  int32_t tree_row[ESP_MAX_TREES]; /* first row of each tree */
  int32_t output_row[ESP_MAX_NODES];
  int32_t job_count;
  int32_t spans; /* span results kept apart per row and head; 1 when a job folds them */
  bool fold; /* attention joins spans as it goes */
  bool own, own_join; /* each thread prepares the input of products, of the output product, for itself */
  atomic_bool stop;
  EspActivations head_in; /* output rows, in the memory of the stack's hidden_in */
  int32_t threads;
  Claim claims[2][ESP_MAX_THREADS]; /* of this phase and of the next */
} Run;

/* One thread of a run. */
typedef struct {
  Run *run;
  int32_t thread;
  int32_t phase;
  float *normed;
  EspAttention work;
} Worker;

/* ---- phases ----------------------------------------------------------------------------------------------------- */

typedef void Piece(Worker *worker, int32_t layer, int32_t from, int32_t to);

/* Each thread has a contiguous share, so that it reads one stream of weights, and then helps the others. */
static void phase(Worker *worker, int32_t layer, int32_t count, int32_t grain, Piece *piece) {
  Run *run = worker->run;
  const int32_t threads = run->threads;
  Claim *claims = run->claims[worker->phase & 1];
  if (grain < 1) grain = 1;
  for (int32_t i = 0; i < threads; i++) {
    int32_t owner = (worker->thread + i) % threads;
    int32_t begin = (int32_t)((int64_t)count * owner / threads), end = (int32_t)((int64_t)count * (owner + 1) / threads);
    int32_t at;
    while ((at = begin + atomic_fetch_add_explicit(&claims[owner].next, grain, memory_order_relaxed)) < end) {
      piece(worker, layer, at, at + grain < end ? at + grain : end);
    }
  }
  worker->phase++;
  /* Everybody has left the phase before this one, so its claims can serve the phase after it. */
  atomic_store_explicit(&run->claims[worker->phase & 1][worker->thread].next, 0, memory_order_relaxed);
  esp_barrier(run->stack->pool);
}

static int32_t grain_of(const Run *run, int32_t count) { return count / (run->threads * 6); }

static const EspActivations *input(const Worker *worker, bool own, const EspActivations *shared) {
  return own ? &worker->run->stack->own_in[worker->thread] : shared;
}

static void shape(EspActivations *activations, int32_t rows, int32_t cols) {
  activations->rows = rows;
  activations->blocks = cols / ESP_BLOCK;
}

/* The tree and node of a row, and its place in the text. */
static const EspTree *tree_of(const Run *run, int32_t row) { return &run->pass->trees[run->row_tree[row]]; }
static int32_t depth_of(const Run *run, int32_t row) { return tree_of(run, row)->cache->depths[run->row_node[row]]; }

/* ---- pieces ----------------------------------------------------------------------------------------------------- */

static bool is_draft_head(const EspStackSpec *spec) { return spec->join || spec->wide; }

/* Where the cosines and sines of a row begin. */
static size_t angles_of(const EspStackSpec *spec, int32_t rope, int32_t row) {
  return ((size_t)rope * ESP_MAX_NODES + (size_t)row) * (size_t)spec->rope_dims;
}

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
    const EspTree *tree = tree_of(run, row);
    float *x = stack->x + (size_t)row * (size_t)spec->hidden;
    if (is_draft_head(spec)) {
      /* Token and feature are joined later. */
    } else if (run->pass->input) {
      memcpy(x, run->pass->input + (size_t)row * (size_t)spec->hidden, (size_t)spec->hidden * sizeof *x);
    } else {
      run->kernels->dequantize_row(spec->embedding, tree->tokens[run->row_node[row]], x);
      for (int32_t i = 0; spec->embedding_scale != 1 && i < spec->hidden; i++) x[i] = x[i] * spec->embedding_scale;
    }
    const int32_t position = tree->cache->length + depth_of(run, row);
    for (int32_t rope = 0; rope < spec->ropes; rope++) find_angles(stack, rope, row, position);
  }
}

/* With the norm of that weight; without a weight, a row as it is. */
static void norm_row(const Run *run, const float *x, const float *weight, float *to) {
  const EspStackSpec *spec = &run->stack->spec;
  if (weight) run->kernels->rms_norm(x, weight, to, spec->hidden, spec->norm_epsilon);
  else memcpy(to, x, (size_t)spec->hidden * sizeof *to);
}

/* Rows [from, to), normed, as the input of a product. */
static void prepare(Worker *worker, const float *weight, EspActivations *to_in, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStackSpec *spec = &run->stack->spec;
  for (int32_t row = from; row < to; row++) {
    const float *x = run->stack->x + (size_t)row * (size_t)spec->hidden;
    norm_row(run, x, weight, worker->normed);
    run->kernels->quantize(worker->normed, to_in, row, 0, spec->hidden / ESP_BLOCK);
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
    float *x = stack->x + (size_t)row * hidden;
    run->kernels->dequantize_row(spec->embedding, tree_of(run, row)->tokens[run->row_node[row]], x);
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
  for (int32_t row = 0; row < run->rows; row++) {
    float *x = stack->x + (size_t)row * (size_t)stack->spec.hidden + first;
    memcpy(x, stack->product + (size_t)row * stack->product_stride + first, (size_t)(last - first) * sizeof *x);
    if (stack->spec.join_bias) run->kernels->add(x, stack->spec.join_bias + first, last - first);
  }
}

/* ---- pieces of a layer ------------------------------------------------------------------------------------------ */

static void prepare_attention(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  prepare(worker, worker->run->stack->layer[layer].attention_norm, &worker->run->stack->hidden_in, from, to);
}
static void prepare_feed(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  prepare(worker, worker->run->stack->layer[layer].feed_norm, &worker->run->stack->hidden_in, from, to);
}

/* Norm as a phase of its own, or by each thread for itself. */
static void prepare_all(Worker *worker, int32_t layer, const float *weight, Piece *piece) {
  Run *run = worker->run;
  EspStack *stack = run->stack;
  if (!run->own) {
    phase(worker, layer, run->rows, 1, piece);
    return;
  }
  EspActivations *own = &stack->own_in[worker->thread];
  shape(own, run->rows, stack->spec.hidden);
  prepare(worker, weight, own, 0, run->rows);
}

static void project_qkv(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspLayer *weights = &stack->layer[layer];
  const EspMatrix *matrices[3] = {weights->query, weights->key, weights->value};
  const float *biases[3] = {weights->query_bias, weights->key_bias, weights->value_bias};
  const EspActivations *in = stack->spec.wide ? &stack->join_in : input(worker, run->own, &stack->hidden_in);
  int32_t start = 0;
  for (int i = 0; i < 3; i++) {
    const int32_t groups = matrices[i]->groups;
    const int32_t first = from > start ? from - start : 0, last = to - start < groups ? to - start : groups;
    if (first < last) {
      float *out = stack->qkv + (size_t)start * ESP_GROUP;
      run->kernels->matmul(matrices[i], in, first, last, out, stack->qkv_stride);
      for (int32_t row = 0; biases[i] && row < run->rows; row++) {
        run->kernels->add(out + (size_t)row * stack->qkv_stride + (size_t)first * ESP_GROUP,
                          biases[i] + (size_t)first * ESP_GROUP, (last - first) * ESP_GROUP);
      }
    }
    start += groups;
  }
}

/*
 * Turns `count` heads in place and scales them (arXiv:2104.09864): a value becomes itself times a cosine plus its partner
 * times a sine, which has the sign already.
 */
static void rotate(const EspStackSpec *spec, float *heads, int32_t count, const float *cosines, const float *sines,
                   float scale) {
  const int32_t dims = spec->rope_dims, half = dims / 2;
  float partners[MOST_HEAD];
  for (int32_t h = 0; h < count; h++, heads += spec->head_size) {
    if (spec->rope_neox) {
      memcpy(partners, heads + half, (size_t)half * sizeof *heads);
      memcpy(partners + half, heads, (size_t)half * sizeof *heads);
    } else {
      for (int32_t i = 0; i < dims; i += 2) partners[i] = heads[i + 1], partners[i + 1] = heads[i];
    }
    for (int32_t i = 0; i < dims; i++) heads[i] = (heads[i] * cosines[i] + partners[i] * sines[i]) * scale;
    for (int32_t i = dims; i < spec->head_size; i++) heads[i] = heads[i] * scale;
  }
}

static void norm_heads(const Run *run, float *heads, int32_t count, const float *weight) {
  const EspStackSpec *spec = &run->stack->spec;
  for (int32_t h = 0; h < count; h++, heads += spec->head_size) {
    run->kernels->rms_norm(heads, weight, heads, spec->head_size, spec->norm_epsilon);
  }
}

/*
 * Pieces are (key head, row): norm, rotate, and keep the key and value as pending. Rows of one key head come together,
 * since their keys share cache lines.
 */
static void keep_keys(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const int32_t head = spec->head_size, group = spec->heads / spec->kv_heads;
  const EspLayer *weights = &stack->layer[layer];
  for (int32_t piece = from; piece < to; piece++) {
    const int32_t row = piece % run->rows, kv_head = piece / run->rows;
    const size_t angles = angles_of(spec, weights->rope, row);
    const float *cosines = stack->cosines + angles, *sines = stack->sines + angles;
    float *query = stack->qkv + (size_t)row * stack->qkv_stride;
    float *key = query + (size_t)weights->query->groups * ESP_GROUP;
    float *value = key + (size_t)weights->key->groups * ESP_GROUP;
    query += (size_t)kv_head * (size_t)group * (size_t)head;
    key += (size_t)kv_head * (size_t)head;
    value += (size_t)kv_head * (size_t)head;
    if (weights->query_norm) norm_heads(run, query, group, weights->query_norm);
    if (weights->key_norm) norm_heads(run, key, 1, weights->key_norm);
    rotate(spec, query, group, cosines, sines, spec->attention_scale);
    rotate(spec, key, 1, cosines, sines, 1.0f);
    const EspCache *cache = tree_of(run, row)->cache;
    const int32_t node = run->row_node[row];
    const EspKeyValues kv = esp_cache_plane(cache, layer, kv_head);
    uint8_t *keys = kv.pending + kv.offset, *values = keys + kv.values;
    const size_t column = esp_key_column(node, head);
    if (cache->half) {
      uint16_t *narrow = (uint16_t *)values + (size_t)node * (size_t)head;
      run->kernels->store_half(key, narrow, head); /* only on its way to the tile */
      for (int32_t d = 0; d < head; d++) ((uint16_t *)keys + column)[d * ESP_KEY_TILE] = narrow[d];
      run->kernels->store_half(value, narrow, head);
    } else {
      for (int32_t d = 0; d < head; d++) ((float *)keys + column)[d * ESP_KEY_TILE] = key[d];
      memcpy((float *)values + (size_t)node * (size_t)head, value, (size_t)head * sizeof(float));
    }
  }
}

static void attend(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const int32_t head = spec->head_size, group = spec->heads / spec->kv_heads, window = stack->layer[layer].window;
  for (int32_t piece = from; piece < to; piece++) {
    const AttentionJob *job = &stack->jobs[piece];
    const EspCache *cache = run->pass->trees[job->tree].cache;
    /* The first span that any of the rows sees. */
    int32_t span_from = esp_first_seen(cache->length + job->shallowest, window) / ESP_SPAN;
    if (span_from < job->span_from) span_from = job->span_from;
    if (span_from >= job->span_to) continue;
    int32_t depths[JOB_ROWS];
    const uint16_t *ancestors[JOB_ROWS];
    const float *queries[JOB_ROWS];
    float *outputs[JOB_ROWS], *maxima[JOB_ROWS], *sums[JOB_ROWS];
    for (int32_t i = 0; i < job->rows; i++) {
      const int32_t row = job->row_from + i, node = run->row_node[row];
      depths[i] = cache->depths[node];
      ancestors[i] = cache->ancestors[node];
      queries[i] = stack->qkv + (size_t)row * stack->qkv_stride + (size_t)(job->kv_head * group) * (size_t)head;
      const size_t result = ((size_t)row * (size_t)spec->heads + (size_t)(job->kv_head * group)) * (size_t)run->spans +
                            (run->fold ? 0 : (size_t)job->span_from);
      outputs[i] = stack->span_outputs + result * (size_t)head;
      maxima[i] = stack->span_maxima + result;
      sums[i] = stack->span_sums + result;
    }
    EspAttention *work = &worker->work;
    work->kv = esp_cache_plane(cache, layer, job->kv_head);
    work->head = head;
    work->group = group;
    work->rows = job->rows;
    work->length = cache->length;
    work->depths = depths;
    work->ancestors = ancestors;
    work->queries = queries;
    work->window = window;
    work->cap = spec->attention_cap;
    work->span_from = span_from;
    work->span_to = job->span_to;
    work->fold = run->fold;
    work->outputs = outputs;
    work->maxima = maxima;
    work->sums = sums;
    work->stride = (size_t)run->spans;
    run->kernels->attention(work);
  }
}

/* Joins the spans of rows [from, to) into the output product's input. */
static void join_rows(Worker *worker, int32_t layer, EspActivations *to_in, float *attended, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const int32_t head = spec->head_size, width = spec->heads * head;
  for (int32_t row = from; row < to; row++) {
    const int32_t position = tree_of(run, row)->cache->length + depth_of(run, row);
    const int32_t first = run->fold ? 0 : esp_first_seen(position, stack->layer[layer].window) / ESP_SPAN;
    const int32_t spans = run->fold ? 1 : position / ESP_SPAN + 1 - first;
    for (int32_t h = 0; h < spec->heads; h++) {
      const size_t result = ((size_t)row * (size_t)spec->heads + (size_t)h) * (size_t)run->spans + (size_t)first;
      run->kernels->join(attended + (size_t)(h * head), stack->span_outputs + result * (size_t)head,
                         stack->span_maxima + result, stack->span_sums + result, spans, head);
    }
    run->kernels->quantize(attended, to_in, row, 0, width / ESP_BLOCK);
  }
}
static void join_piece(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  join_rows(worker, layer, &worker->run->stack->attended_in, worker->normed, from, to);
}

/* A product that is added to the residual stream; with a norm, add_normed() does that once it is whole. */
static void add_product(Worker *worker, const EspMatrix *matrix, const EspActivations *in, const float *norm, int32_t from,
                        int32_t to) {
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t hidden = stack->spec.hidden;
  run->kernels->matmul(matrix, in, from, to, stack->product, stack->product_stride);
  const int32_t begin = from * ESP_GROUP, end = to * ESP_GROUP < hidden ? to * ESP_GROUP : hidden;
  for (int32_t row = 0; !norm && row < run->rows; row++) {
    run->kernels->add(stack->x + (size_t)row * (size_t)hidden + begin,
                      stack->product + (size_t)row * stack->product_stride + begin, end - begin);
  }
}
static void project_output(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  EspStack *stack = worker->run->stack;
  const EspLayer *weights = &stack->layer[layer];
  const EspActivations *in = input(worker, worker->run->own_join, &stack->attended_in);
  add_product(worker, weights->output, in, weights->attention_post_norm, from, to);
}
static void project_down(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  EspStack *stack = worker->run->stack;
  add_product(worker, stack->layer[layer].down, &stack->feed_in, stack->layer[layer].feed_post_norm, from, to);
}

static void add_normed(Worker *worker, const float *norm, int32_t from, int32_t to) {
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t hidden = stack->spec.hidden;
  for (int32_t row = from; row < to; row++) {
    const float *product = stack->product + (size_t)row * stack->product_stride;
    run->kernels->rms_norm(product, norm, worker->normed, hidden, stack->spec.norm_epsilon);
    run->kernels->add(stack->x + (size_t)row * (size_t)hidden, worker->normed, hidden);
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
  const EspActivations *in = input(worker, run->own, &stack->hidden_in);
  void (*open_gate)(float *, const float *, int32_t) =
      stack->spec.activation == ESP_GELU ? run->kernels->gelu_times : run->kernels->silu_times;
  run->kernels->matmul(stack->layer[layer].gate, in, 2 * from, 2 * to, stack->gate, stack->feed_stride);
  run->kernels->matmul(stack->layer[layer].up, in, 2 * from, 2 * to, stack->up, stack->feed_stride);
  for (int32_t row = 0; row < run->rows; row++) {
    float *gate = stack->gate + (size_t)row * stack->feed_stride;
    const float *up = stack->up + (size_t)row * stack->feed_stride;
    open_gate(gate + from * ESP_BLOCK, up + from * ESP_BLOCK, (to - from) * ESP_BLOCK);
    run->kernels->quantize(gate, &stack->feed_in, row, from, to);
  }
}

static void copy_tap(const Worker *worker, int32_t done) {
  const EspPass *pass = worker->run->pass;
  const EspStack *stack = worker->run->stack;
  const size_t size = (size_t)worker->run->rows * (size_t)stack->spec.hidden;
  for (int32_t i = 0; i < pass->tap_count; i++) {
    if (pass->taps[i] == done) memcpy(pass->hidden + (size_t)i * size, stack->x, size * sizeof *stack->x);
  }
}

static void prepare_head(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  Run *run = worker->run;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  for (int32_t i = from; i < to; i++) {
    const float *x = stack->x + (size_t)run->output_row[i] * (size_t)spec->hidden;
    norm_row(run, x, spec->final_norm, worker->normed);
    run->kernels->quantize(worker->normed, &run->head_in, i, 0, spec->hidden / ESP_BLOCK);
  }
}

/* Groups [first, last) of the head's rows with the other rows of this pass behind them. */
static void project_groups(const Run *run, int32_t first, int32_t last) {
  const EspStack *stack = run->stack;
  const EspMatrix *head = stack->spec.head;
  const int32_t own = head->groups, middle = first > own ? first : last < own ? last : own;
  const size_t stride = stack->logits_stride;
  if (first < middle) run->kernels->matmul(head, &run->head_in, first, middle, stack->logits, stride);
  if (middle == last) return;
  run->kernels->matmul(&stack->more, &run->head_in, middle - own, last - own, stack->logits + (size_t)own * ESP_GROUP, stride);
}

static void project_head(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t vocab = run->vocab, groups = run->groups, chunks = run->chunks;
  for (int32_t chunk = from; chunk < to; chunk++) {
    const int32_t first = chunk * HEAD_CHUNK, last = first + HEAD_CHUNK < groups ? first + HEAD_CHUNK : groups;
    project_groups(run, first, last);
    for (int32_t i = 0; stack->spec.logit_cap > 0 && i < run->output_rows; i++) {
      run->kernels->soft_cap(stack->logits + (size_t)i * stack->logits_stride + (size_t)first * ESP_GROUP,
                             (last - first) * ESP_GROUP, stack->spec.logit_cap);
    }
    if (run->pass->top_k == 0) continue;
    const int32_t begin = first * ESP_GROUP, end = last * ESP_GROUP < vocab ? last * ESP_GROUP : vocab;
    for (int32_t i = 0; i < run->output_rows; i++) {
      const size_t at = (size_t)i * (size_t)chunks + (size_t)chunk;
      run->kernels->chunk_softmax(stack->logits + (size_t)i * stack->logits_stride + begin, end - begin,
                                  &stack->chunk_maxima[at], &stack->chunk_sums[at]);
    }
  }
}

/* Of the noise that picks what follows a row. */
static uint32_t key_of(const Run *run, const EspTree *tree, int32_t row) {
  const int32_t position = tree->pick.ahead + tree->cache->length + depth_of(run, row) + 1;
  return esp_position_key(tree->pick.seed, position);
}

static int32_t pick_token(const Run *run, int32_t output, const float *logits, int32_t top) {
  const int32_t row = run->output_row[output];
  const EspTree *tree = tree_of(run, row);
  if (!(tree->pick.scale > 0)) return -1;
  return run->kernels->pick(logits, run->vocab, top, key_of(run, tree, row), tree->pick.scale, tree->pick.reach);
}

/* Lists the rows with the best logit and noise together; false where a text has no noise. */
static bool rank_rows(const Run *run, int32_t output, const float *logits, float most, int32_t *tokens, float *values) {
  const EspPass *pass = run->pass;
  const int32_t row = run->output_row[output], own = run->stack->spec.vocab;
  const EspTree *tree = tree_of(run, row);
  if (!pass->ids || !(tree->pick.scale > 0)) return false;
  EspRanking ranking = {.key = key_of(run, tree, row), .scale = tree->pick.scale, .most = pass->top_k, .rows = tokens};
  run->kernels->rank(logits, pass->ids, own, 0, most, &ranking);
  if (pass->more_count > 0) run->kernels->rank(logits + own, pass->more, pass->more_count, own, most, &ranking);
  esp_rank_others(&ranking);
  for (int32_t k = 0; k < pass->top_k; k++) values[k] = logits[tokens[k]];
  return true;
}

static void finish_rows(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  const EspPass *pass = run->pass;
  const EspStack *stack = run->stack;
  const int32_t vocab = stack->spec.vocab, chunks = run->chunks;
  for (int32_t i = from; i < to; i++) {
    const float *logits = stack->logits + (size_t)i * stack->logits_stride;
    if (pass->logits) memcpy(pass->logits + (size_t)i * (size_t)vocab, logits, (size_t)vocab * sizeof *logits);
    if (pass->top_k == 0) continue;
    const float *maxima = stack->chunk_maxima + (size_t)i * (size_t)chunks;
    const float *sums = stack->chunk_sums + (size_t)i * (size_t)chunks;
    float most = maxima[0], sum = 0;
    for (int32_t c = 1; c < chunks; c++) most = maxima[c] > most ? maxima[c] : most;
    for (int32_t c = 0; c < chunks; c++) sum = sum + sums[c] * run->kernels->exp_one(maxima[c] - most);
    const float normalizer = most + (sum > 0 ? (float)esp_log((double)sum) : 0);
    int32_t *tokens = pass->top_tokens + (size_t)i * (size_t)pass->top_k;
    float *log_probs = pass->top_log_probs + (size_t)i * (size_t)pass->top_k;
    if (!rank_rows(run, i, logits, most, tokens, log_probs))
      esp_top_k(logits, run->vocab, maxima, HEAD_CHUNK * ESP_GROUP, pass->top_k, tokens, log_probs);
    for (int32_t k = 0; k < pass->top_k; k++) log_probs[k] = log_probs[k] - normalizer;
    if (pass->picks) pass->picks[i] = pick_token(run, i, logits, tokens[0]);
  }
}

/* ---- the pass --------------------------------------------------------------------------------------------------- */

static void layers(void *context, int thread) {
  Run *run = context;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const EspPass *pass = run->pass;
  Worker self = {
      .run = run,
      .thread = thread,
      .normed = stack->normed + (size_t)thread * stack->normed_size,
      .work.scratch = stack->scratch + (size_t)thread * stack->scratch_size,
  };
  Worker *worker = &self;
  const int32_t rows = run->rows;
  phase(worker, 0, rows, 1, begin_rows);
  if (is_draft_head(spec) && pass->fuse) {
    phase(worker, 0, rows, 1, prepare_fuse);
    if (spec->fuse) phase(worker, 0, spec->fuse->groups, grain_of(run, spec->fuse->groups), project_fuse);
  }
  if (is_draft_head(spec)) {
    phase(worker, 0, rows, 1, prepare_join);
    if (spec->join) phase(worker, 0, spec->join->groups, grain_of(run, spec->join->groups), project_join);
  }
  if (thread == 0) copy_tap(worker, pass->from);
  for (int32_t layer = pass->from; layer < pass->to; layer++) {
    const EspLayer *weights = &stack->layer[layer];
    if (thread == 0 && pass->abort && atomic_load(pass->abort)) atomic_store(&run->stop, true);

    if (!spec->wide) prepare_all(worker, layer, weights->attention_norm, prepare_attention);
    const int32_t qkv_groups = weights->query->groups + weights->key->groups + weights->value->groups;
    phase(worker, layer, qkv_groups, grain_of(run, qkv_groups), project_qkv);
    if (atomic_load(&run->stop)) return;
    phase(worker, layer, rows * spec->kv_heads, rows / run->threads, keep_keys);
    phase(worker, layer, run->job_count, 1, attend);
    if (run->own_join) {
      EspActivations *own = &stack->own_in[thread];
      shape(own, rows, spec->heads * spec->head_size);
      join_rows(worker, layer, own, worker->normed, 0, rows);
    } else {
      phase(worker, layer, rows, 1, join_piece);
    }
    phase(worker, layer, weights->output->groups, grain_of(run, weights->output->groups), project_output);
    if (weights->attention_post_norm) phase(worker, layer, rows, 1, add_attended);

    prepare_all(worker, layer, weights->feed_norm, prepare_feed);
    const int32_t blocks = spec->feed / ESP_BLOCK;
    phase(worker, layer, blocks, grain_of(run, blocks), project_gate_up);
    phase(worker, layer, weights->down->groups, grain_of(run, weights->down->groups), project_down);
    if (weights->feed_post_norm) phase(worker, layer, rows, 1, add_fed);
    if (thread == 0) copy_tap(worker, layer + 1);
  }
  if (run->output_rows == 0) return;
  phase(worker, 0, run->output_rows, 1, prepare_head);
  phase(worker, 0, run->chunks, 1, project_head);
  phase(worker, 0, run->output_rows, 1, finish_rows);
}

static const char *check(const EspStack *stack, const EspPass *pass) {
  const EspStackSpec *spec = &stack->spec;
  if (pass->tree_count < 1 || pass->tree_count > ESP_MAX_TREES) return "a pass takes 1 to 64 trees";
  if (pass->from < 0 || pass->from > pass->to || pass->to > spec->layers) return "no such range of layers";
  if (!pass->input && (pass->from != 0 || !spec->embedding)) return "layers after the first need hidden states as input";
  if (is_draft_head(spec) && (!pass->input || pass->from != 0)) return "a draft head needs features as input";
  if (pass->fuse && !spec->fuse && !spec->fuse_norm) return "there is nothing to fuse hidden states with";
  if (pass->top_k < 0 || pass->top_k > ESP_MAX_TOP_K || pass->top_k > spec->vocab) return "top_k is out of range";
  if (pass->more_count < 0 || pass->more_count > (spec->others ? ESP_MAX_MORE : 0)) return "there are not so many other rows";
  if ((pass->top_k > 0 || pass->logits) && (!spec->head || pass->to != spec->layers)) return "there is no head to run";
  if (pass->picks && (pass->top_k == 0 || pass->more_count > 0)) return "who picks needs the best token, and no other rows";
  if (pass->picks && pass->ids) return "a list under noise does not begin with the best token, which who picks needs";
  for (int32_t i = 0; i < pass->tap_count; i++) {
    if (pass->taps[i] < pass->from || pass->taps[i] > pass->to) return "a tap is outside the layers that run";
  }
  int64_t rows = 0;
  for (int32_t t = 0; t < pass->tree_count; t++) {
    const EspTree *tree = &pass->trees[t];
    if (tree->cache->layers != spec->layers || tree->cache->kv_heads != spec->kv_heads ||
        tree->cache->head != spec->head_size) {
      return "a cache belongs to another stack";
    }
    for (int32_t u = 0; u < t; u++) {
      if (pass->trees[u].cache == tree->cache) return "two trees share a cache";
    }
    if (tree->size < 1 || tree->size > ESP_MAX_NODES || tree->first < 0 || tree->first >= tree->size) {
      return "a tree has no new nodes or too many";
    }
    if (!(tree->pick.scale >= 0 && tree->pick.reach >= 0)) return "the scale or reach of a pick is out of range";
    if (tree->pick.ahead < 0 || tree->pick.ahead > INT32_MAX / 2) return "a text does not begin so far before its cache";
    rows += tree->size - tree->first;
    for (int32_t node = tree->first; node < tree->size && (!pass->input || is_draft_head(spec)); node++) {
      if (tree->tokens[node] < 0 || tree->tokens[node] >= spec->embedding->rows) return "a token is not in the vocabulary";
    }
  }
  return rows > ESP_MAX_NODES ? "the trees have too many nodes together" : NULL;
}

/* Attention by (rows of a tree, key head), and by span as well when that alone gives every thread enough to do. */
static bool plan_attention(EspStack *stack, Run *run) {
  const EspStackSpec *spec = &stack->spec;
  const int32_t group = spec->heads / spec->kv_heads;
  int32_t step = ESP_QUERIES / group < JOB_ROWS ? ESP_QUERIES / group : JOB_ROWS, pieces = 0, spans = 1;
  for (int32_t t = 0; t < run->pass->tree_count; t++) {
    const EspTree *tree = &run->pass->trees[t];
    pieces += (tree->size - tree->first + step - 1) / step * spec->kv_heads;
    for (int32_t node = tree->first; node < tree->size; node++) {
      const int32_t last = (tree->cache->length + tree->cache->depths[node]) / ESP_SPAN + 1;
      if (last > spans) spans = last;
    }
  }
  run->fold = pieces >= 4 * run->threads;
  run->spans = run->fold ? 1 : spans;
  const size_t jobs = (size_t)pieces * (size_t)(run->fold ? 1 : spans);
  if (jobs > stack->job_room) {
    esp_free(stack->jobs);
    stack->jobs = esp_alloc(jobs * sizeof *stack->jobs);
    stack->job_room = stack->jobs ? jobs : 0;
    if (!stack->jobs) return false;
  }
  const size_t results = (size_t)run->rows * (size_t)spec->heads * (size_t)run->spans;
  if (results > stack->span_room) {
    esp_free(stack->span_outputs);
    esp_free(stack->span_maxima);
    esp_free(stack->span_sums);
    stack->span_outputs = esp_alloc(results * (size_t)spec->head_size * sizeof(float));
    stack->span_maxima = esp_alloc(results * sizeof(float));
    stack->span_sums = esp_alloc(results * sizeof(float));
    stack->span_room = results;
    if (!stack->span_outputs || !stack->span_maxima || !stack->span_sums) {
      stack->span_room = 0;
      return false;
    }
  }
  run->job_count = 0;
  for (int32_t t = 0; t < run->pass->tree_count; t++) {
    const EspTree *tree = &run->pass->trees[t];
    const int32_t rows = tree->size - tree->first;
    for (int32_t span = 0; span < (run->fold ? 1 : spans); span++) {
      for (int32_t kv_head = 0; kv_head < spec->kv_heads; kv_head++) {
        for (int32_t row = 0; row < rows; row += step) {
          AttentionJob job = {
              .tree = t,
              .row_from = run->tree_row[t] + row,
              .rows = rows - row < step ? rows - row : step,
              .kv_head = kv_head,
              .span_from = run->fold ? 0 : span,
          };
          int32_t deepest = 0;
          job.shallowest = ESP_MAX_NODES;
          for (int32_t i = 0; i < job.rows; i++) {
            const int32_t depth = tree->cache->depths[tree->first + row + i];
            if (depth > deepest) deepest = depth;
            if (depth < job.shallowest) job.shallowest = depth;
          }
          const int32_t last = (tree->cache->length + deepest) / ESP_SPAN + 1;
          job.span_to = run->fold ? last : span + 1;
          if (span < last) stack->jobs[run->job_count++] = job;
        }
      }
    }
  }
  return true;
}

static int32_t chunks_of(int32_t groups) { return (groups + HEAD_CHUNK - 1) / HEAD_CHUNK; }

/* Those that the pass before had in the same places are there. False: no such row. */
static bool gather_more(EspStack *stack, const EspPass *pass) {
  const EspMatrix *others = stack->spec.others;
  for (int32_t i = 0; i < pass->more_count; i++) {
    const int32_t row = pass->more[i];
    if (row < 0 || row >= others->rows) return false;
    if (row != stack->more_rows[i]) esp_matrix_copy_row(&stack->more, i, others, row);
    stack->more_rows[i] = row;
  }
  return true;
}

EspStatus esp_forward(EspStack *stack, const EspPass *pass, const char **message) {
  *message = check(stack, pass);
  if (!*message && !gather_more(stack, pass)) *message = "there is no such other row";
  if (*message) return ESP_INVALID;
  Run run = {
      .stack = stack,
      .pass = pass,
      .kernels = esp_kernels(),
      .threads = esp_pool_advise(stack->pool),
  };
  for (int32_t t = 0; t < pass->tree_count; t++) {
    const EspTree *tree = &pass->trees[t];
    *message = esp_cache_expect(tree->cache, tree, pass->from, pass->to);
    if (*message) return ESP_INVALID;
    run.tree_row[t] = run.rows;
    for (int32_t node = tree->first; node < tree->size; node++) {
      run.row_tree[run.rows] = t;
      run.row_node[run.rows++] = node;
      if (!pass->last_only || node == tree->size - 1) run.output_row[run.output_rows++] = run.rows - 1;
    }
  }
  if (pass->top_k == 0 && !pass->logits) run.output_rows = 0;
  run.vocab = stack->spec.vocab + pass->more_count;
  run.groups = (run.vocab + ESP_GROUP - 1) / ESP_GROUP;
  run.chunks = chunks_of(run.groups);
  run.own = run.rows <= OWN_ROWS;
  shape(&stack->hidden_in, run.rows, stack->spec.hidden);
  run.head_in = stack->hidden_in;
  shape(&run.head_in, run.output_rows, stack->spec.hidden);
  shape(&stack->attended_in, run.rows, stack->spec.heads * stack->spec.head_size);
  shape(&stack->feed_in, run.rows, stack->spec.feed);
  if (is_draft_head(&stack->spec)) shape(&stack->join_in, run.rows, 2 * stack->spec.hidden);
  if (stack->spec.fuse) shape(&stack->fuse_in, run.rows, stack->spec.fuse->cols);
  const size_t logits = (size_t)run.output_rows * stack->logits_stride;
  if (logits > stack->logits_room) {
    esp_free(stack->logits);
    stack->logits = esp_alloc(logits * sizeof(float));
    stack->logits_room = stack->logits ? logits : 0;
  }
  if ((logits && !stack->logits) || !plan_attention(stack, &run)) {
    *message = "no memory for this pass";
    for (int32_t t = 0; t < pass->tree_count; t++) esp_cache_rollback(pass->trees[t].cache);
    return ESP_NO_MEMORY;
  }
  run.own_join = run.own && run.rows * run.spans <= OWN_SPANS;
  esp_pool_run(stack->pool, run.threads, layers, &run);
  if (!atomic_load(&run.stop)) return ESP_OK;
  for (int32_t t = 0; t < pass->tree_count; t++) esp_cache_rollback(pass->trees[t].cache);
  *message = "aborted";
  return ESP_ABORTED;
}

/* ---- making and freeing ----------------------------------------------------------------------------------------- */

static bool fits(const EspMatrix *matrix, int32_t rows, int32_t cols) {
  return matrix && matrix->rows == rows && matrix->cols == cols;
}

static const char *contradiction(const EspStackSpec *spec) {
  const int32_t limit = 1 << 20;
  if (spec->layers < 1 || spec->layers > 1024) return "layers must be 1 to 1024";
  if (spec->hidden < ESP_BLOCK || spec->hidden % ESP_BLOCK || spec->hidden > limit) return "hidden must be a multiple of 32";
  if (spec->feed < ESP_BLOCK || spec->feed % ESP_BLOCK || spec->feed > limit) return "feed must be a multiple of 32";
  if (spec->head_size < ESP_BLOCK || spec->head_size % ESP_BLOCK || spec->head_size > MOST_HEAD) {
    return "head_size must be a multiple of 32, at most 1024";
  }
  if (spec->heads < 1 || spec->kv_heads < 1 || spec->heads > 1024 || spec->heads % spec->kv_heads) {
    return "heads must be a multiple of kv_heads";
  }
  if (spec->heads / spec->kv_heads > ESP_QUERIES) return "more than 48 query heads share a key head";
  if (spec->rope_dims < 2 || spec->rope_dims % 2 || spec->rope_dims > spec->head_size) return "rope_dims is out of range";
  if (spec->ropes < 1 || spec->ropes > ESP_MAX_ROPES) return "ropes must be 1 to 4";
  for (int32_t r = 0; r < spec->ropes; r++) {
    const EspRope *rope = &spec->rope[r];
    if (!(rope->base > 0 && rope->base < 1e30)) return "a rope's base is out of range";
    if (!(rope->amplitude > 0 && rope->amplitude <= 16)) return "a rope's amplitude is out of range";
    for (int32_t i = 0; rope->factors && i < spec->rope_dims / 2; i++) {
      if (!(rope->factors[i] >= 0.0625f && rope->factors[i] <= 65536)) return "a rope's factor is out of range";
    }
  }
  if (!(spec->norm_epsilon >= 0 && spec->norm_epsilon < 1)) return "norm_epsilon is out of range";
  if (!(spec->attention_scale > 0 && spec->attention_scale < 1e6f)) return "attention_scale is out of range";
  if (!(spec->embedding_scale > 0 && spec->embedding_scale < 1e6f)) return "embedding_scale is out of range";
  if (!(spec->attention_cap >= 0 && spec->attention_cap < 1e6f)) return "attention_cap is out of range";
  if (!(spec->logit_cap >= 0 && spec->logit_cap < 1e6f)) return "logit_cap is out of range";
  if (spec->activation != ESP_SILU && spec->activation != ESP_GELU) return "there is no such activation";
  if (spec->vocab < 1 || spec->vocab > 1 << 24) return "vocab is out of range";
  if (spec->embedding && !fits(spec->embedding, is_draft_head(spec) ? spec->embedding->rows : spec->vocab, spec->hidden)) {
    return "the embedding has another shape";
  }
  if (is_draft_head(spec) && !spec->embedding) return "a draft head needs an embedding";
  if (spec->wide && (spec->join || spec->layers != 1)) return "a wide draft head has one layer and no joining matrix";
  if (spec->join && !fits(spec->join, spec->hidden, 2 * spec->hidden)) return "the joining matrix has another shape";
  if ((spec->fuse || spec->fuse_norm) && !is_draft_head(spec)) return "fuse is for draft heads";
  if (spec->fuse && (spec->fuse->rows != spec->hidden || spec->fuse->cols % spec->hidden || spec->fuse->cols / spec->hidden > 8)) {
    return "the fusing matrix has another shape";
  }
  if (spec->head && !fits(spec->head, spec->vocab, spec->hidden)) return "the head has another shape";
  if (spec->others && (!spec->head || spec->vocab % ESP_GROUP || spec->others->cols != spec->hidden)) {
    return "other rows are as wide as a head's, and stand behind whole groups of 16";
  }
  if (spec->head && !spec->final_norm && !is_draft_head(spec)) return "a head needs the final norm";
  const int32_t query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const int32_t seen = spec->wide ? 2 * spec->hidden : spec->hidden;
  for (int32_t i = 0; i < spec->layers; i++) {
    const EspLayer *layer = &spec->layer[i];
    if (!layer->feed_norm || (!layer->attention_norm && !is_draft_head(spec))) return "a layer has no norm";
    if (layer->rope < 0 || layer->rope >= spec->ropes) return "a layer turns by a rope that is not there";
    if (layer->window < 0) return "a layer's window is out of range";
    if (!fits(layer->query, query, seen) || !fits(layer->key, key, seen) || !fits(layer->value, key, seen) ||
        !fits(layer->output, spec->hidden, query) ||
        !fits(layer->gate, spec->feed, spec->hidden) || !fits(layer->up, spec->feed, spec->hidden) ||
        !fits(layer->down, spec->hidden, spec->feed)) {
      return "a layer's matrix has another shape";
    }
  }
  return NULL;
}

/* Zeroed and aligned to a cache line; `bad` collects failures. */
static void *room(size_t count, size_t size, bool *bad) {
  void *memory = esp_alloc(count * size);
  if (!memory) *bad = true;
  return memory;
}

static void make_activations(EspActivations *activations, int32_t rows, int32_t cols, bool *bad) {
  const size_t blocks = (size_t)rows * (size_t)cols / ESP_BLOCK;
  activations->quants = room(blocks, ESP_BLOCK, bad);
  activations->scales = room(blocks, sizeof(float), bad);
  activations->masses = room(blocks, sizeof(float), bad);
  activations->starts4 = room(blocks, sizeof(int32_t), bad);
  activations->starts5 = room(blocks, sizeof(int32_t), bad);
  activations->starts8 = room(blocks, sizeof(int32_t), bad);
  activations->starts6 = room(2 * blocks, sizeof(int32_t), bad);
}

static void free_activations(EspActivations *activations) {
  esp_free(activations->quants);
  esp_free(activations->scales);
  esp_free(activations->masses);
  esp_free(activations->starts4);
  esp_free(activations->starts5);
  esp_free(activations->starts8);
  esp_free(activations->starts6);
}

static void find_frequencies(EspStack *stack) {
  const EspStackSpec *spec = &stack->spec;
  double *to = stack->frequencies;
  for (int32_t r = 0; r < spec->ropes; r++) {
    const EspRope *rope = &spec->rope[r];
    for (int32_t i = 0; i < spec->rope_dims / 2; i++) {
      *to++ = esp_exp(-2.0 * i / spec->rope_dims * esp_log(rope->base)) / (rope->factors ? (double)rope->factors[i] : 1);
    }
  }
}

static size_t padded(int32_t rows) { return ((size_t)rows + ESP_GROUP - 1) / ESP_GROUP * ESP_GROUP; }

/* A vector of a specification that is there or not. */
typedef struct {
  const float **at;
  int32_t size;
} Vector;

/* Room for the vectors that are there, zeros behind each up to a whole group; with `to`, they are copied and used from there. */
static size_t copy_vectors(const Vector *vectors, size_t count, float *to) {
  size_t all = 0;
  for (size_t i = 0; i < count; i++) {
    if (!*vectors[i].at) continue;
    if (to) *vectors[i].at = memcpy(to + all, *vectors[i].at, (size_t)vectors[i].size * sizeof *to);
    all += padded(vectors[i].size);
  }
  return all;
}

/* The vectors of a specification may come from memory that the caller frees. */
static size_t copy_all_vectors(EspStackSpec *spec, EspLayer *layers, float *to) {
  const int32_t hidden = spec->hidden, query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const Vector own[] = {
      {&spec->final_norm, hidden},
      {&spec->token_norm, hidden},
      {&spec->feature_norm, hidden},
      {&spec->fuse_norm, spec->fuse ? spec->fuse->cols : hidden},
      {&spec->join_bias, hidden},
  };
  size_t all = copy_vectors(own, sizeof own / sizeof *own, to);
  for (int32_t i = 0; i < spec->ropes; i++) {
    const Vector factors = {&spec->rope[i].factors, spec->rope_dims / 2};
    all += copy_vectors(&factors, 1, to ? to + all : NULL);
  }
  for (int32_t i = 0; i < spec->layers; i++) {
    EspLayer *layer = &layers[i];
    const Vector vectors[] = {
        {&layer->attention_norm, hidden},        {&layer->feed_norm, hidden},
        {&layer->query_bias, query},             {&layer->key_bias, key},
        {&layer->value_bias, key},               {&layer->query_norm, spec->head_size},
        {&layer->key_norm, spec->head_size},     {&layer->attention_post_norm, hidden},
        {&layer->feed_post_norm, hidden},
    };
    all += copy_vectors(vectors, sizeof vectors / sizeof *vectors, to ? to + all : NULL);
  }
  return all;
}

EspStack *esp_stack_create(const EspStackSpec *spec, EspPool *pool, const char **message) {
  *message = contradiction(spec);
  if (*message) return NULL;
  *message = "no memory for the stack";
  EspStack *stack = esp_alloc(sizeof *stack);
  if (!stack) return NULL;
  bool bad = false;
  const size_t rows = ESP_MAX_NODES, threads = (size_t)esp_pool_threads(pool);
  const int32_t query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const int32_t widest = spec->hidden > query ? spec->hidden : query;
  stack->spec = *spec;
  stack->pool = pool;
  stack->layer = esp_alloc((size_t)spec->layers * sizeof *stack->layer);
  stack->frequencies = esp_alloc((size_t)spec->ropes * (size_t)spec->rope_dims / 2 * sizeof *stack->frequencies);
  if (stack->layer) {
    memcpy(stack->layer, spec->layer, (size_t)spec->layers * sizeof *stack->layer);
    stack->vectors = room(copy_all_vectors(&stack->spec, stack->layer, NULL), sizeof(float), &bad);
  }
  if (stack->layer && stack->frequencies && stack->vectors) {
    copy_all_vectors(&stack->spec, stack->layer, stack->vectors);
    find_frequencies(stack);
  } else {
    bad = true;
  }
  stack->spec.layer = stack->layer;
  stack->qkv_stride = padded(query) + 2 * padded(key);
  stack->product_stride = padded(spec->hidden);
  stack->feed_stride = padded(spec->feed);
  stack->logits_stride = padded(spec->vocab) + (spec->others ? ESP_MAX_MORE : 0);
  stack->x = room(rows * (size_t)spec->hidden, sizeof(float), &bad);
  stack->qkv = room(rows * stack->qkv_stride, sizeof(float), &bad);
  stack->product = room(rows * stack->product_stride, sizeof(float), &bad);
  stack->gate = room(rows * stack->feed_stride, sizeof(float), &bad);
  stack->up = room(rows * stack->feed_stride, sizeof(float), &bad);
  stack->cosines = room((size_t)spec->ropes * rows * (size_t)spec->rope_dims, sizeof(float), &bad);
  stack->sines = room((size_t)spec->ropes * rows * (size_t)spec->rope_dims, sizeof(float), &bad);
  make_activations(&stack->hidden_in, ESP_MAX_NODES, spec->hidden, &bad);
  make_activations(&stack->attended_in, ESP_MAX_NODES, query, &bad);
  make_activations(&stack->feed_in, ESP_MAX_NODES, spec->feed, &bad);
  if (is_draft_head(spec)) make_activations(&stack->join_in, ESP_MAX_NODES, 2 * spec->hidden, &bad);
  if (spec->fuse) make_activations(&stack->fuse_in, ESP_MAX_NODES, spec->fuse->cols, &bad);
  for (size_t i = 0; i < threads; i++) make_activations(&stack->own_in[i], OWN_ROWS, widest, &bad);
  stack->normed_size = (size_t)widest;
  if (is_draft_head(spec) && 2 * (size_t)spec->hidden > stack->normed_size) stack->normed_size = 2 * (size_t)spec->hidden;
  if (spec->fuse && (size_t)spec->fuse->cols > stack->normed_size) stack->normed_size = (size_t)spec->fuse->cols;
  stack->normed = room(threads * stack->normed_size, sizeof(float), &bad);
  stack->scratch_size = ESP_QUERIES * (2 * (size_t)ESP_SPAN + 2 * (size_t)spec->head_size);
  stack->scratch = room(threads * stack->scratch_size, sizeof(float), &bad);
  if (spec->head) {
    const size_t chunks = (size_t)chunks_of((int32_t)(stack->logits_stride / ESP_GROUP));
    stack->chunk_maxima = room(rows * chunks, sizeof(float), &bad);
    stack->chunk_sums = room(rows * chunks, sizeof(float), &bad);
  }
  if (spec->others) {
    stack->more = *spec->others;
    stack->more.rows = ESP_MAX_MORE;
    stack->more.groups = ESP_MAX_MORE / ESP_GROUP;
    stack->more.data = room((size_t)stack->more.groups, stack->more.group_bytes, &bad);
    stack->more_rows = room(ESP_MAX_MORE, sizeof *stack->more_rows, &bad);
    for (int32_t i = 0; stack->more_rows && i < ESP_MAX_MORE; i++) stack->more_rows[i] = -1;
  }
  if (bad) {
    esp_stack_free(stack);
    return NULL;
  }
  *message = NULL;
  return stack;
}

const EspStackSpec *esp_stack_spec(const EspStack *stack) { return &stack->spec; }

void esp_stack_free(EspStack *stack) {
  if (!stack) return;
  void *owned[] = {stack->vectors,      stack->layer,        stack->frequencies, stack->x,           stack->qkv,         stack->product,
                   stack->gate,         stack->up,          stack->cosines,     stack->sines,       stack->normed,
                   stack->scratch,      stack->span_outputs, stack->span_maxima, stack->span_sums,  stack->logits,
                   stack->chunk_maxima, stack->chunk_sums,  stack->jobs,        stack->more.data,   stack->more_rows};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) esp_free(owned[i]);
  free_activations(&stack->hidden_in);
  free_activations(&stack->attended_in);
  free_activations(&stack->feed_in);
  free_activations(&stack->join_in);
  free_activations(&stack->fuse_in);
  for (int i = 0; i < ESP_MAX_THREADS; i++) free_activations(&stack->own_in[i]);
  esp_free(stack);
}
