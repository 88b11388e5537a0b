/*
 * attend.c - attention over the rows of all trees: turned keys and values are kept in the caches as pending, jobs go through the
 * kernel of attention.h, and the spans of a text are joined.
 */
#include "pass.h"

#include "memory.h"

enum {
  OWN_SPANS = 32, /* where few rows have so few together, every thread joins them itself */
  JOB_ROWS = 16, /* rows of one piece of attention, at most */
};
#define LOG2_E 1.44269504f

/* One piece of attention, the same in every layer. */
typedef struct AttentionJob {
  int32_t tree, row_from, rows, kv_head, span_from, span_to;
  int32_t shallowest; /* least depth of its rows */
} AttentionJob;

/* The end of the rows from `begin` on that are of one tree. */
static int32_t end_of_tree(const Rows *rows, int32_t begin) {
  int32_t end = begin;
  while (end < rows->count && rows->tree[end] == rows->tree[begin]) end++;
  return end;
}

/* Attention by (rows of a tree, key head), and by span as well when that alone gives every thread enough to do. Gives the most jobs that come of it. */
static size_t cut(const Run *run, Rows *rows, int32_t step) {
  int32_t pieces = 0, spans = 1;
  for (int32_t begin = 0, end; begin < rows->count; begin = end) {
    end = end_of_tree(rows, begin);
    pieces += (end - begin + step - 1) / step * run->stack->spec.kv_heads;
    const EspCache *cache = run->pass->trees[rows->tree[begin]].cache;
    for (int32_t row = begin; row < end; row++) {
      const int32_t last = (cache->length + cache->depths[rows->node[row]]) / ESP_SPAN + 1;
      if (last > spans) spans = last;
    }
  }
  rows->fold = pieces >= 4 * run->threads;
  rows->spans = rows->fold ? 1 : spans;
  rows->own_join = rows->own && rows->count * rows->spans <= OWN_SPANS;
  return (size_t)pieces * (size_t)rows->spans;
}

static void write_jobs(const Run *run, Rows *rows, int32_t step, AttentionJob *jobs) {
  rows->jobs = jobs;
  rows->job_count = 0;
  for (int32_t begin = 0, end; begin < rows->count; begin = end) {
    end = end_of_tree(rows, begin);
    const EspCache *cache = run->pass->trees[rows->tree[begin]].cache;
    for (int32_t span = 0; span < rows->spans; span++) {
      for (int32_t kv_head = 0; kv_head < run->stack->spec.kv_heads; kv_head++) {
        for (int32_t row = begin; row < end; row += step) {
          AttentionJob job = {
              .tree = rows->tree[begin],
              .row_from = row,
              .rows = end - row < step ? end - row : step,
              .kv_head = kv_head,
              .span_from = rows->fold ? 0 : span,
          };
          int32_t deepest = 0;
          job.shallowest = ESP_MAX_NODES;
          for (int32_t i = 0; i < job.rows; i++) {
            const int32_t depth = cache->depths[rows->node[row + i]];
            if (depth > deepest) deepest = depth;
            if (depth < job.shallowest) job.shallowest = depth;
          }
          const int32_t last = (cache->length + deepest) / ESP_SPAN + 1;
          job.span_to = rows->fold ? last : span + 1;
          if (span < last) jobs[rows->job_count++] = job;
        }
      }
    }
  }
}

bool esp_plan_attention(EspStack *stack, Run *run) {
  const EspStackSpec *spec = &stack->spec;
  const int32_t group = spec->heads / spec->kv_heads, step = ESP_QUERIES / group < JOB_ROWS ? ESP_QUERIES / group : JOB_ROWS;
  const bool apart = run->last != &run->all;
  const size_t first = cut(run, &run->all, step), jobs = first + (apart ? cut(run, run->last, step) : 0);
  if (jobs > stack->job_room) {
    esp_free(stack->jobs);
    stack->jobs = esp_alloc(jobs * sizeof *stack->jobs);
    stack->job_room = stack->jobs ? jobs : 0;
    if (!stack->jobs) return false;
  }
  int32_t most = run->all.count * run->all.spans;
  if (run->last->count * run->last->spans > most) most = run->last->count * run->last->spans;
  const size_t results = (size_t)most * (size_t)spec->heads;
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
  write_jobs(run, &run->all, step, stack->jobs);
  if (apart) write_jobs(run, run->last, step, stack->jobs + first);
  return true;
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

/* `count` queries of a row as integers, in place, and behind them what these are multiplied by. */
static void fix_queries(const EspKernels *kernels, float *queries, int32_t count, int32_t head) {
  float scales[ESP_QUERIES];
  int16_t *fixed = (int16_t *)(void *)queries;
  for (int32_t i = 0; i < count; i++) scales[i] = kernels->fix(queries + i * head, fixed + i * head, head, esp_most_query(head), false);
  memcpy(fixed + count * head, scales, (size_t)count * sizeof *scales);
}

/* The logarithm to base 2 of a number that has three bits behind the first; of 0 it is as if that was 2^-96, less than any scale. */
static float log_of_coarse(float x) {
  static const float logs[] = {0, 0.169925f, 0.32192809f, 0.45943162f, 0.58496250f, 0.70043972f, 0.80735492f, 0.90689060f};
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  return x > 0 ? (float)((int32_t)(bits >> 23) - 127) + logs[bits >> 20 & 7] : -96;
}

/* Keeps a node's key and value as pending; where what lies is told in kernels.h. */
static void keep(const EspKernels *kernels, const EspKeyValues *kv, int32_t head, int32_t node, const float *key, const float *value) {
  uint8_t *plane = kv->pending + kv->offset;
  const int32_t tile = node / ESP_KEY_TILE, column = node % ESP_KEY_TILE;
  if (!kv->fixed) {
    float *keys = (float *)(void *)(plane + (size_t)tile * esp_tile_bytes(head, false)) + column, *values = (float *)(void *)(plane + kv->values);
    for (int32_t d = 0; d < head; d++) keys[d * ESP_KEY_TILE] = key[d];
    memcpy(values + node * head, value, (size_t)head * sizeof *value);
    return;
  }
  int16_t words[MOST_HEAD];
  EspScales *scales = esp_scales(plane, head, node);
  int16_t *keys = (int16_t *)(void *)(plane + (size_t)tile * esp_tile_bytes(head, true)) + 2 * column, *values = (int16_t *)(void *)(plane + kv->values);
  scales->keys[column] = kernels->fix(key, words, head, ESP_MOST_FIXED, false);
  for (int32_t d = 0; d < head; d++) keys[d / 2 * 2 * ESP_KEY_TILE + d % 2] = words[d];
  const float scale = kernels->fix(value, words, head, ESP_MOST_FIXED, true);
  scales->values[column] = log_of_coarse(scale);
  scales->inverses[column] = scale > 0 ? 1.0f / scale : 0x1p96f;
  for (int32_t d = 0; d < head; d++) values[(node / 2 * head + d) * 2 + node % 2] = words[d];
}

/*
 * Pieces are (key head, row): norm, rotate, and keep the key and value as pending. Rows of one key head come together,
 * since their keys share cache lines.
 */
static void keep_keys(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const Rows *rows = worker->rows;
  const int32_t head = spec->head_size, group = spec->heads / spec->kv_heads;
  const EspLayer *weights = &stack->layer[layer];
  for (int32_t piece = from; piece < to; piece++) {
    const int32_t row = piece % rows->count, kv_head = piece / rows->count;
    const size_t angles = angles_of(spec, weights->rope, row);
    const float *cosines = stack->cosines + angles, *sines = stack->sines + angles;
    float *query = stack->qkv + (size_t)row * stack->qkv_stride;
    float *key = query + (size_t)weights->query->groups * ESP_GROUP;
    float *value = key + (size_t)weights->key->groups * ESP_GROUP;
    query += (size_t)kv_head * (size_t)group * (size_t)head;
    key += (size_t)kv_head * (size_t)head;
    value += (size_t)kv_head * (size_t)head;
    const EspCache *cache = tree_of(worker, row)->cache;
    if (weights->query_norm) norm_heads(run, query, group, weights->query_norm);
    if (weights->key_norm) norm_heads(run, key, 1, weights->key_norm);
    rotate(spec, query, group, cosines, sines, spec->attention_scale * LOG2_E); /* scores are exponents of 2 */
    rotate(spec, key, 1, cosines, sines, 1.0f);
    if (cache->fixed) fix_queries(run->kernels, query, group, head);
    const int32_t node = rows->node[row];
    const EspKeyValues kv = esp_cache_plane(cache, layer, kv_head);
    keep(run->kernels, &kv, head, node, key, value);
  }
}

static void attend(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const Rows *rows = worker->rows;
  const int32_t head = spec->head_size, group = spec->heads / spec->kv_heads, window = stack->layer[layer].window;
  for (int32_t piece = from; piece < to; piece++) {
    const AttentionJob *job = &rows->jobs[piece];
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
      const int32_t row = job->row_from + i, node = rows->node[row];
      depths[i] = cache->depths[node];
      ancestors[i] = cache->ancestors[node];
      queries[i] = stack->qkv + (size_t)rows->at[row] * stack->qkv_stride + (size_t)(job->kv_head * group) * (size_t)head;
      const size_t result = ((size_t)row * (size_t)spec->heads + (size_t)(job->kv_head * group)) * (size_t)rows->spans +
                            (rows->fold ? 0 : (size_t)job->span_from);
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
    work->cap = spec->attention_cap * LOG2_E;
    work->span_from = span_from;
    work->span_to = job->span_to;
    work->fold = rows->fold;
    work->outputs = outputs;
    work->maxima = maxima;
    work->sums = sums;
    work->stride = (size_t)rows->spans;
    run->kernels->attention(work);
  }
}

/* Joins the spans of rows [from, to) into the output product's input. */
static void join_rows(Worker *worker, int32_t layer, EspActivations *to_in, float *attended, int32_t from, int32_t to) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  const Rows *rows = worker->rows;
  const int32_t head = spec->head_size, width = spec->heads * head;
  for (int32_t row = from; row < to; row++) {
    const int32_t position = position_of(worker, row);
    const int32_t first = rows->fold ? 0 : esp_first_seen(position, stack->layer[layer].window) / ESP_SPAN;
    const int32_t spans = rows->fold ? 1 : position / ESP_SPAN + 1 - first;
    for (int32_t h = 0; h < spec->heads; h++) {
      const size_t result = ((size_t)row * (size_t)spec->heads + (size_t)h) * (size_t)rows->spans + (size_t)first;
      run->kernels->join(attended + (size_t)(h * head), stack->span_outputs + result * (size_t)head,
                         stack->span_maxima + result, stack->span_sums + result, spans, head);
    }
    run->kernels->quantize(attended, to_in, row, 0, width / ESP_BLOCK);
  }
}
static void join_piece(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  join_rows(worker, layer, &worker->rows->attended_in, worker->normed, from, to);
}

void esp_keep_keys(Worker *worker, int32_t layer) {
  const Run *run = worker->run;
  const int32_t rows = worker->rows->count;
  esp_phase(worker, layer, rows * run->stack->spec.kv_heads, rows / run->threads, keep_keys);
}

void esp_run_attention(Worker *worker, int32_t layer) {
  EspStack *stack = worker->run->stack;
  const EspStackSpec *spec = &stack->spec;
  const Rows *rows = worker->rows;
  esp_phase(worker, layer, rows->job_count, 1, attend);
  if (rows->own_join) {
    EspActivations *own = &stack->own_in[worker->thread];
    shape(own, rows->count, spec->heads * spec->head_size);
    join_rows(worker, layer, own, worker->normed, 0, rows->count);
  } else {
    esp_phase(worker, layer, rows->count, 1, join_piece);
  }
}
