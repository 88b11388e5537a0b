/* pass.c - the pass: its checks, its rows, and the phases that all threads go through together. */
#include "pass.h"

#include "memory.h"

/* Each thread has a contiguous share, so that it reads one stream of weights, and then helps the others. */
void esp_phase(Worker *worker, int32_t layer, int32_t count, int32_t grain, Piece *piece) {
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

static void copy_tap(const Worker *worker, int32_t done) {
  const Run *run = worker->run;
  const EspPass *pass = run->pass;
  const size_t hidden = (size_t)run->stack->spec.hidden;
  for (int32_t i = 0; i < pass->tap_count; i++) {
    if (pass->taps[i] != done) continue;
    float *to = pass->hidden + (size_t)i * (size_t)run->all.count * hidden;
    for (int32_t row = 0; row < worker->rows->count; row++) memcpy(to + (size_t)row * hidden, stream_of(worker, row), hidden * sizeof *to);
  }
}

static void layers(void *context, int thread) {
  Run *run = context;
  EspStack *stack = run->stack;
  const EspPass *pass = run->pass;
  Worker self = {
      .run = run,
      .rows = &run->all,
      .thread = thread,
      .normed = stack->normed + (size_t)thread * stack->normed_size,
      .work.scratch = stack->scratch + (size_t)thread * stack->scratch_size,
  };
  Worker *worker = &self;
  esp_run_input(worker);
  if (pass->from == pass->to) worker->rows = run->last;
  if (thread == 0) copy_tap(worker, pass->from);
  for (int32_t layer = pass->from; layer < pass->to; layer++) {
    if (thread == 0) {
      if (pass->abort && atomic_load(pass->abort)) atomic_store(&run->stop, true);
      run->moved = layer + 1;
    }
    if (!esp_run_layer(worker, layer)) return;
    if (thread == 0) copy_tap(worker, layer + 1);
  }
  if (run->head) esp_run_head(worker);
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
  if (pass->penalised_k < 0 || pass->penalised_k > ESP_MAX_TOP_K || pass->penalised_k > spec->vocab) return "penalised_k is out of range";
  if (pass->penalised_k > 0 && (pass->top_k == 0 || pass->more_count > 0 || pass->ids))
    return "who penalises needs top tokens, by logits alone, and no other rows";
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
    if (tree->pick.scale > 0 && !(tree->pick.top_p > 0)) return "a top_p keeps nothing";
    if (tree->pick.ahead < 0 || tree->pick.ahead > INT32_MAX / 2) return "a text does not begin so far before its cache";
    if (tree->penalties.repetition != 0 && pass->penalised_k == 0) return "who penalises needs the best tokens";
    const char *penalties = esp_penalties_expect(tree, spec->vocab);
    if (penalties) return penalties;
    rows += tree->size - tree->first;
    for (int32_t node = tree->first; node < tree->size && (!pass->input || is_draft_head(spec)); node++) {
      if (tree->tokens[node] < 0 || tree->tokens[node] >= spec->embedding->rows) return "a token is not in the vocabulary";
    }
  }
  return rows > ESP_MAX_NODES ? "the trees have too many nodes together" : NULL;
}

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

static void add_row(Rows *rows, int32_t tree, int32_t node, int32_t at) {
  rows->tree[rows->count] = tree;
  rows->node[rows->count] = node;
  rows->at[rows->count++] = at;
}

static void shape_rows(Rows *rows, const EspStack *stack) {
  const EspStackSpec *spec = &stack->spec;
  rows->own = rows->count <= OWN_ROWS;
  rows->hidden_in = stack->hidden_in;
  rows->attended_in = stack->attended_in;
  rows->feed_in = stack->feed_in;
  shape(&rows->hidden_in, rows->count, spec->hidden);
  shape(&rows->attended_in, rows->count, spec->heads * spec->head_size);
  shape(&rows->feed_in, rows->count, spec->feed);
}

EspStatus esp_forward(EspStack *stack, const EspPass *pass, const char **message) {
  *message = check(stack, pass);
  if (!*message && !gather_more(stack, pass)) *message = "there is no such other row";
  if (*message) return ESP_INVALID;
  Run run = {
      .stack = stack,
      .pass = pass,
      .kernels = esp_kernels(),
      .head = pass->top_k > 0 || pass->logits,
      .threads = pass->alone ? 1 : esp_pool_advise(stack->pool),
  };
  bool goes_on = run.head;
  for (int32_t i = 0; i < pass->tap_count; i++) goes_on = goes_on || pass->taps[i] == pass->to;
  for (int32_t t = 0; t < pass->tree_count; t++) {
    *message = esp_cache_expect(pass->trees[t].cache, &pass->trees[t], pass->from, pass->to);
    if (*message) return ESP_INVALID;
  }
  for (int32_t t = 0; t < pass->tree_count; t++) {
    const EspTree *tree = &pass->trees[t];
    esp_cache_take(tree->cache, tree, pass->from, pass->to);
    run.owing = run.owing || tree->cache->owing > 0;
    for (int32_t node = tree->first; node < tree->size; node++) {
      const int32_t row = run.all.count;
      add_row(&run.all, t, node, row);
      if (goes_on && pass->last_only && node == tree->size - 1) add_row(&run.some, t, node, row);
    }
  }
  run.last = goes_on && (!pass->last_only || run.some.count == run.all.count) ? &run.all : &run.some;
  run.vocab = stack->spec.vocab + pass->more_count;
  run.groups = (run.vocab + ESP_GROUP - 1) / ESP_GROUP;
  run.chunks = chunks_of(run.groups);
  shape_rows(&run.all, stack);
  shape_rows(&run.some, stack);
  if (is_draft_head(&stack->spec)) shape(&stack->join_in, run.all.count, 2 * stack->spec.hidden);
  if (stack->spec.fuse) shape(&stack->fuse_in, run.all.count, stack->spec.fuse->cols);
  const size_t logits = run.head ? (size_t)run.last->count * stack->logits_stride : 0;
  if (logits > stack->logits_room) {
    esp_free(stack->logits);
    stack->logits = esp_alloc(logits * sizeof(float));
    stack->logits_room = stack->logits ? logits : 0;
  }
  if ((logits && !stack->logits) || !esp_plan_attention(stack, &run)) {
    *message = "no memory for this pass";
    for (int32_t t = 0; t < pass->tree_count; t++) esp_cache_rollback(pass->trees[t].cache);
    return ESP_NO_MEMORY;
  }
  if (pass->alone) esp_run_alone(layers, &run);
  else esp_pool_run(stack->pool, run.threads, layers, &run);
  for (int32_t t = 0; run.owing && t < pass->tree_count; t++) {
    for (int32_t layer = pass->from; layer < run.moved; layer++) esp_cache_moved(pass->trees[t].cache, layer);
  }
  if (!atomic_load(&run.stop)) return ESP_OK;
  for (int32_t t = 0; t < pass->tree_count; t++) esp_cache_rollback(pass->trees[t].cache);
  *message = "aborted";
  return ESP_ABORTED;
}
