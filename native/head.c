/* head.c - the end of a pass: norm and head over the output rows, then their best tokens, picks and logits. */
#include "pass.h"

#include "noise.h"
#include "numbers.h"
#include "topk.h"

static void prepare_head(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  Run *run = worker->run;
  EspStack *stack = run->stack;
  const EspStackSpec *spec = &stack->spec;
  for (int32_t i = from; i < to; i++) {
    norm_row(run, stream_of(worker, i), spec->final_norm, worker->normed);
    run->kernels->quantize(worker->normed, &worker->rows->hidden_in, i, 0, spec->hidden / ESP_BLOCK);
  }
}

/* Groups [first, last) of the head's rows with the other rows of this pass behind them. */
static void project_groups(const Worker *worker, int32_t first, int32_t last) {
  const Run *run = worker->run;
  const EspStack *stack = run->stack;
  const EspActivations *in = &worker->rows->hidden_in;
  const EspMatrix *head = stack->spec.head;
  const int32_t own = head->groups, middle = first > own ? first : last < own ? last : own;
  const size_t stride = stack->logits_stride;
  if (first < middle) run->kernels->matmul(head, in, first, middle, stack->logits, stride);
  if (middle == last) return;
  run->kernels->matmul(&stack->more, in, middle - own, last - own, stack->logits + (size_t)own * ESP_GROUP, stride);
}

static void project_head(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  EspStack *stack = run->stack;
  const int32_t vocab = run->vocab, groups = run->groups, chunks = run->chunks;
  for (int32_t chunk = from; chunk < to; chunk++) {
    const int32_t first = chunk * HEAD_CHUNK, last = first + HEAD_CHUNK < groups ? first + HEAD_CHUNK : groups;
    project_groups(worker, first, last);
    for (int32_t i = 0; stack->spec.logit_cap > 0 && i < worker->rows->count; i++) {
      run->kernels->soft_cap(stack->logits + (size_t)i * stack->logits_stride + (size_t)first * ESP_GROUP,
                             (last - first) * ESP_GROUP, stack->spec.logit_cap);
    }
    if (run->pass->top_k == 0) continue;
    const int32_t begin = first * ESP_GROUP, end = last * ESP_GROUP < vocab ? last * ESP_GROUP : vocab;
    for (int32_t i = 0; i < worker->rows->count; i++) {
      const size_t at = (size_t)i * (size_t)chunks + (size_t)chunk;
      run->kernels->chunk_softmax(stack->logits + (size_t)i * stack->logits_stride + begin, end - begin,
                                  &stack->chunk_maxima[at], &stack->chunk_sums[at]);
    }
  }
}

/* Of the noise that picks what follows a row. */
static uint32_t key_of(const Worker *worker, const EspTree *tree, int32_t row) {
  return esp_position_key(tree->pick.seed, tree->pick.ahead + position_of(worker, row) + 1);
}

static int32_t pick_token(const Worker *worker, int32_t row, const float *logits, int32_t top) {
  const Run *run = worker->run;
  const EspTree *tree = tree_of(worker, row);
  if (!(tree->pick.scale > 0)) return -1;
  return run->kernels->pick(logits, run->vocab, top, key_of(worker, tree, row), &tree->pick);
}

/* Lists the rows with the best logit and noise together; false where a text has no noise. */
static bool rank_rows(const Worker *worker, int32_t row, const float *logits, float most, int32_t *tokens, float *values) {
  const Run *run = worker->run;
  const EspPass *pass = run->pass;
  const int32_t own = run->stack->spec.vocab;
  const EspTree *tree = tree_of(worker, row);
  if (!pass->ids || !(tree->pick.scale > 0)) return false;
  EspRanking ranking = {.key = key_of(worker, tree, row), .scale = tree->pick.scale, .most = pass->top_k, .rows = tokens};
  run->kernels->rank(logits, pass->ids, own, 0, most, &ranking);
  if (pass->more_count > 0) run->kernels->rank(logits + own, pass->more, pass->more_count, own, most, &ranking);
  esp_rank_others(&ranking);
  for (int32_t k = 0; k < pass->top_k; k++) values[k] = logits[tokens[k]];
  return true;
}

/* Lists the best tokens of a row after penalties, which nobody needs without them any more; gives the best one. */
static int32_t best_penalised(const Worker *worker, int32_t row, float *logits, float *maxima) {
  const EspPass *pass = worker->run->pass;
  const int32_t chunk = HEAD_CHUNK * ESP_GROUP, k = pass->penalised_k;
  int32_t *tokens = pass->penalised_tokens + (size_t)row * (size_t)k;
  esp_penalise(tree_of(worker, row), worker->rows->node[row], logits, maxima, chunk);
  esp_top_k(logits, worker->run->vocab, maxima, chunk, k, tokens, pass->penalised_logits + (size_t)row * (size_t)k);
  return tokens[0];
}

static void finish_rows(Worker *worker, int32_t layer, int32_t from, int32_t to) {
  (void)layer;
  const Run *run = worker->run;
  const EspPass *pass = run->pass;
  const EspStack *stack = run->stack;
  const int32_t vocab = stack->spec.vocab, chunks = run->chunks;
  for (int32_t i = from; i < to; i++) {
    float *logits = stack->logits + (size_t)i * stack->logits_stride;
    if (pass->logits) memcpy(pass->logits + (size_t)i * (size_t)vocab, logits, (size_t)vocab * sizeof *logits);
    if (pass->top_k == 0) continue;
    float *maxima = stack->chunk_maxima + (size_t)i * (size_t)chunks;
    const float *sums = stack->chunk_sums + (size_t)i * (size_t)chunks;
    float most = maxima[0], sum = 0;
    for (int32_t c = 1; c < chunks; c++) most = maxima[c] > most ? maxima[c] : most;
    for (int32_t c = 0; c < chunks; c++) sum = sum + sums[c] * run->kernels->exp_one(maxima[c] - most);
    const float normalizer = most + (sum > 0 ? (float)esp_log((double)sum) : 0);
    int32_t *tokens = pass->top_tokens + (size_t)i * (size_t)pass->top_k;
    float *log_probs = pass->top_log_probs + (size_t)i * (size_t)pass->top_k;
    if (!rank_rows(worker, i, logits, most, tokens, log_probs))
      esp_top_k(logits, run->vocab, maxima, HEAD_CHUNK * ESP_GROUP, pass->top_k, tokens, log_probs);
    for (int32_t k = 0; k < pass->top_k; k++) log_probs[k] = log_probs[k] - normalizer;
    const bool penalties = tree_of(worker, i)->penalties.repetition > 0;
    const int32_t best = penalties ? best_penalised(worker, i, logits, maxima) : tokens[0];
    if (pass->picks) pass->picks[i] = pick_token(worker, i, logits, best);
  }
}

void esp_run_head(Worker *worker) {
  const int32_t rows = worker->rows->count;
  esp_phase(worker, 0, rows, 1, prepare_head);
  esp_phase(worker, 0, worker->run->chunks, 1, project_head);
  esp_phase(worker, 0, rows, 1, finish_rows);
}
