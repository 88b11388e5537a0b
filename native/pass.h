/*
 * pass.h - the inside of a pass, for the files that its rows go through: input.c, then layer.c with attend.c for every layer, then
 * head.c; pass.c is around them. All threads run each of their functions together. A phase is cut into pieces that threads claim,
 * and ends in a barrier. No memory is allocated inside a pass.
 */
#ifndef ESP_PASS_H
#define ESP_PASS_H

#include "cache.h"
#include "stack.h"

#include <string.h>

typedef struct {
  _Alignas(64) atomic_int next;
} Claim;

/* Rows that go together: all of a pass, or those that somebody wants something of behind its last keys and values. */
typedef struct {
  int32_t count;
  int32_t tree[ESP_MAX_NODES], node[ESP_MAX_NODES]; /* which tree and node a row is; those of a tree are next to each other */
  int32_t at[ESP_MAX_NODES]; /* which row of all it is, whose residual stream and queries it has */
  const struct AttentionJob *jobs;
  int32_t job_count;
  int32_t spans; /* span results kept apart per row and head; 1 when a job folds them */
  bool fold; /* attention joins spans as it goes */
  bool own, own_join; /* each thread prepares the input of products, of the output product, for itself */
  EspActivations hidden_in, attended_in, feed_in; /* these rows, in the memory of the stack's */
} Rows;

/* A pass under way. */
typedef struct {
  EspStack *stack;
  const EspPass *pass;
  const EspKernels *kernels;
  Rows all, some;
  Rows *last; /* those that go on behind the last keys and values: `all`, or `some` of them */
  bool owing; /* rows of commits before have to move */
  bool head; /* which then go through the head */
  int32_t vocab, groups, chunks; /* of the head, with the other rows of this pass */
  atomic_bool stop;
  int32_t moved; /* layers below it have moved those rows */
  int32_t threads;
  Claim claims[2][ESP_MAX_THREADS]; /* of this phase and of the next */
} Run;

/* One thread of a run. */
typedef struct {
  Run *run;
  Rows *rows; /* those that go through the present phase */
  int32_t thread;
  int32_t phase;
  float *normed;
  EspAttention work;
} Worker;

/* ---- pass.c: phases --------------------------------------------------------------------------------------------- */

typedef void Piece(Worker *worker, int32_t layer, int32_t from, int32_t to);
/* Runs the pieces [0, count), `grain` of them at a time, and returns when all threads are done. */
void esp_phase(Worker *worker, int32_t layer, int32_t count, int32_t grain, Piece *piece);

static inline int32_t grain_of(const Run *run, int32_t count) { return count / (run->threads * 6); }

/* ---- the way of the rows ---------------------------------------------------------------------------------------- */

/* input.c: the residual stream, from tokens or hidden states; in a draft head from both. */
void esp_run_input(Worker *worker);
/* layer.c: false when the pass is to stop. */
bool esp_run_layer(Worker *worker, int32_t layer);
/* attend.c: queries, keys and values as attention needs them; then attention, up to the output product's input. */
void esp_keep_keys(Worker *worker, int32_t layer);
void esp_run_attention(Worker *worker, int32_t layer);
/* Cuts it into jobs for `all` rows and for those that are the `last`, before the pass. False: no memory. */
bool esp_plan_attention(EspStack *stack, Run *run);
/* head.c: the logits of the output rows, and what is asked for of them. */
void esp_run_head(Worker *worker);
/* penalties.c: NULL, or what is wrong with them. */
const char *esp_penalties_expect(const EspTree *tree, int32_t vocab);
/* Changes the logits of a row, and raises the maxima of their chunks of `chunk` to those that are larger. */
void esp_penalise(const EspTree *tree, int32_t node, float *logits, float *maxima, int32_t chunk);

/* ---- what they share -------------------------------------------------------------------------------------------- */

/* A product's input: the thread's own, or that of all. */
static inline const EspActivations *input(const Worker *worker, bool own, const EspActivations *shared) {
  return own ? &worker->run->stack->own_in[worker->thread] : shared;
}

static inline void shape(EspActivations *activations, int32_t rows, int32_t cols) {
  activations->rows = rows;
  activations->blocks = cols / ESP_BLOCK;
}

/* The tree of one of the worker's rows, its place in the text, and its residual stream. */
static inline const EspTree *tree_of(const Worker *worker, int32_t row) { return &worker->run->pass->trees[worker->rows->tree[row]]; }
static inline int32_t position_of(const Worker *worker, int32_t row) {
  const EspCache *cache = tree_of(worker, row)->cache;
  return cache->length + cache->depths[worker->rows->node[row]];
}
static inline float *stream_of(const Worker *worker, int32_t row) {
  const EspStack *stack = worker->run->stack;
  return stack->x + (size_t)worker->rows->at[row] * (size_t)stack->spec.hidden;
}

/* Where the cosines and sines of a row begin. */
static inline size_t angles_of(const EspStackSpec *spec, int32_t rope, int32_t row) {
  return ((size_t)rope * ESP_MAX_NODES + (size_t)row) * (size_t)spec->rope_dims;
}

/* With the norm of that weight; without a weight, a row as it is. */
static inline void norm_row(const Run *run, const float *x, const float *weight, float *to) {
  const EspStackSpec *spec = &run->stack->spec;
  if (weight) run->kernels->rms_norm(x, weight, to, spec->hidden, spec->norm_epsilon);
  else memcpy(to, x, (size_t)spec->hidden * sizeof *to);
}

#endif
