/* addon_pass.c - passes for Node: a request, read and checked, on the JavaScript thread or as a job. */
#include "addon_jobs.h"
#include "system.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  Job base;
  EspStack *stack;
  EspPass pass;
  bool commit;
  EspChain chain; /* goes on only with `chained` */
  int32_t *chained;
  double odds[ESP_CHAIN_ODDS];
  int32_t *ids; /* behind the trees: their tokens and parents, which a caller may change meanwhile */
  EspTree trees[];
} PassJob;

static void run_pass(Job *base) {
  PassJob *job = (PassJob *)base;
  if (job->chained) {
    const double began = esp_now();
    base->status = esp_forward_chain(job->stack, &job->pass, &job->chain, &job->chained[0], &base->message);
    const double took = (esp_now() - began) / 1e3;
    job->chained[1] = took < INT32_MAX ? (int32_t)took : INT32_MAX;
  } else {
    base->status = esp_forward(job->stack, &job->pass, &base->message);
  }
  for (int32_t t = 0; job->commit && base->status == ESP_OK && t < job->pass.tree_count; t++) {
    int32_t path[ESP_MAX_NODES];
    for (int32_t i = 0; i < job->trees[t].size; i++) path[i] = i;
    base->status = esp_cache_commit(job->trees[t].cache, path, job->trees[t].size);
    base->message = "the rows cannot be committed";
  }
}

/* What a list of src/engine/pass-list.ts has, in its order. */
enum { PICK_SEED, PICK_SCALE, PICK_REACH, PICK_TOP_P, PICK_AHEAD, PICK_FIELDS };
enum { TREE_CACHE, TREE_TOKENS, TREE_PARENTS, TREE_SIZE, TREE_FIRST, TREE_PICK, TREE_PENALTIES, TREE_FIELDS };
enum {
  PASS_STACK, PASS_TREES, PASS_FROM, PASS_TO, PASS_TOP_K, PASS_PENALISED_K, PASS_LAST_ONLY, PASS_COMMIT, PASS_FUSE, PASS_ALONE, PASS_CHAIN,
  PASS_INPUT, PASS_TOKENS, PASS_LOG_PROBS, PASS_IDS, PASS_PICKS, PASS_PENALISED_TOKENS, PASS_PENALISED_LOGITS, PASS_LOGITS, PASS_ABORT, PASS_TAPS,
  PASS_HIDDEN, PASS_MORE, PASS_FIELDS
};

/* Of a tree, if there is one. */
static bool read_pick(napi_env env, napi_value list, EspPick *pick) {
  napi_value values[PICK_FIELDS];
  bool given;
  double seed;
  if (!is_given(env, list, &given)) return false;
  if (!given) return true;
  if (!list_values(env, list, PICK_FIELDS, values) || !get_number(env, values[PICK_SEED], &seed) ||
      !get_number(env, values[PICK_SCALE], &pick->scale) || !get_number(env, values[PICK_REACH], &pick->reach) ||
      !get_number(env, values[PICK_TOP_P], &pick->top_p) || !get_int(env, values[PICK_AHEAD], &pick->ahead)) {
    return false;
  }
  pick->seed = seed >= 0 && seed <= UINT32_MAX ? (uint32_t)seed : 0;
  if (pick->seed == seed) return true;
  fail(env, "internal: a seed is no integer of 32 bits");
  return false;
}

/* Of {repetition, frequency, presence, text: {size, tokens, generated}}, if there are any. */
static bool read_penalties(napi_env env, napi_value value, Job *job, EspPenalties *penalties) {
  napi_value text;
  bool given;
  void *tokens, *generated;
  if (!is_given(env, value, &given)) return false;
  if (!given) return true;
  if (!number_property(env, value, "repetition", &penalties->repetition) ||
      !number_property(env, value, "frequency", &penalties->frequency) ||
      !number_property(env, value, "presence", &penalties->presence) || !property(env, value, "text", &text, &given) ||
      !int_property(env, text, "size", &penalties->count)) {
    return false;
  }
  if (penalties->count < 0) {
    fail(env, "internal: a text has no such size");
    return false;
  }
  const size_t count = (size_t)penalties->count;
  return array_property(env, text, "tokens", napi_int32_array, count, false, &tokens) &&
         (penalties->tokens = copy_ints(env, job, tokens, count)) &&
         array_property(env, text, "generated", napi_int32_array, count, false, &generated) &&
         (penalties->generated = copy_ints(env, job, generated, count));
}

static bool read_trees(napi_env env, napi_value list, int32_t count, PassJob *job, int64_t *rows) {
  for (int32_t t = 0; t < count; t++) {
    napi_value entry, values[TREE_FIELDS];
    void *tokens, *parents;
    EspTree *tree = &job->trees[t];
    Box *cache = NULL;
    if (napi_get_element(env, list, (uint32_t)t, &entry) != napi_ok || !list_values(env, entry, TREE_FIELDS, values) ||
        !(cache = take(env, &job->base, values[TREE_CACHE], BOX_CACHE)) || !get_int(env, values[TREE_SIZE], &tree->size) ||
        !get_int(env, values[TREE_FIRST], &tree->first) || !read_pick(env, values[TREE_PICK], &tree->pick) ||
        !read_penalties(env, values[TREE_PENALTIES], &job->base, &tree->penalties)) {
      return false;
    }
    tree->cache = cache->handle;
    if (tree->size < 1 || tree->size > ESP_MAX_NODES || tree->first < 0 || tree->first >= tree->size) {
      fail(env, "internal: a tree has no new nodes or too many");
      return false;
    }
    if (!array_value(env, values[TREE_TOKENS], "tokens", napi_int32_array, (size_t)tree->size, false, &tokens) ||
        !array_value(env, values[TREE_PARENTS], "parents", napi_int32_array, (size_t)tree->size, false, &parents)) {
      return false;
    }
    const size_t bytes = (size_t)tree->size * sizeof *job->ids;
    int32_t *ids = job->ids + (size_t)t * 2 * ESP_MAX_NODES;
    tree->tokens = memcpy(ids, tokens, bytes);
    tree->parents = memcpy(ids + ESP_MAX_NODES, parents, bytes);
    *rows += tree->size - tree->first;
  }
  return true;
}

/* Of {levels, worth, odds?, done}, if there is one. */
static bool read_chain(napi_env env, napi_value value, PassJob *job) {
  bool given;
  void *odds, *done;
  EspChain *chain = &job->chain;
  if (!is_given(env, value, &given)) return false;
  if (!given) return true;
  if (!int_property(env, value, "levels", &chain->levels) || !number_property(env, value, "worth", &chain->worth) ||
      !array_property(env, value, "odds", napi_float64_array, ESP_CHAIN_ODDS, true, &odds) ||
      !array_property(env, value, "done", napi_int32_array, 2, false, &done)) {
    return false;
  }
  if (chain->levels < 0 || chain->levels > ESP_MAX_NODES) {
    fail(env, "internal: a chain of so many levels");
    return false;
  }
  if (odds) chain->odds = memcpy(job->odds, odds, sizeof job->odds);
  job->chained = done;
  return true;
}

/* The job of a list of PASS_FIELDS values; NULL with an exception pending. */
static PassJob *read_pass(napi_env env, napi_value request) {
  napi_value values[PASS_FIELDS];
  uint32_t count;
  if (!list_values(env, request, PASS_FIELDS, values)) return NULL;
  if (napi_get_array_length(env, values[PASS_TREES], &count) != napi_ok || count < 1 || count > ESP_MAX_TREES) {
    fail(env, "internal: a pass takes 1 to 64 trees");
    return NULL;
  }
  const size_t id_bytes = (size_t)count * 2 * ESP_MAX_NODES * sizeof(int32_t);
  PassJob *job = (PassJob *)new_job(env, sizeof *job + count * sizeof *job->trees + id_bytes, run_pass);
  if (!job) return NULL;
  job->ids = (int32_t *)(job->trees + count);
  Box *box = take(env, &job->base, values[PASS_STACK], BOX_STACK);
  if (!box) {
    free_job(&job->base);
    return NULL;
  }
  EspStack *stack = box->handle;
  job->stack = stack;
  EspPass *pass = &job->pass;
  pass->trees = job->trees;
  pass->tree_count = (int32_t)count;
  int64_t rows = 0;
  void *input, *tokens, *log_probs, *picks, *best, *best_logits, *logits, *taps = NULL, *hidden = NULL, *more = NULL, *abort, *ids;
  const EspStackSpec *spec = esp_stack_spec(stack);
  const size_t width = (size_t)spec->hidden, vocab = (size_t)spec->vocab;
  bool ok = read_trees(env, values[PASS_TREES], pass->tree_count, job, &rows) && get_int(env, values[PASS_FROM], &pass->from) &&
            get_int(env, values[PASS_TO], &pass->to) && get_int(env, values[PASS_TOP_K], &pass->top_k) && pass->top_k >= 0 &&
            pass->top_k <= ESP_MAX_TOP_K && get_int(env, values[PASS_PENALISED_K], &pass->penalised_k) && pass->penalised_k >= 0 &&
            pass->penalised_k <= ESP_MAX_TOP_K && bool_value(env, values[PASS_LAST_ONLY], &pass->last_only) &&
            bool_value(env, values[PASS_COMMIT], &job->commit) && bool_value(env, values[PASS_FUSE], &pass->fuse) &&
            bool_value(env, values[PASS_ALONE], &pass->alone) && read_chain(env, values[PASS_CHAIN], job);
  const size_t input_width = pass->fuse && spec->fuse ? (size_t)spec->fuse->cols : width;
  const size_t outputs = pass->last_only ? count : (size_t)rows;
  const size_t listed = (outputs + (size_t)job->chain.levels) * (size_t)pass->top_k;
  const size_t penalised = outputs * (size_t)pass->penalised_k;
  ok = ok && array_value(env, values[PASS_INPUT], "input", napi_float32_array, (size_t)rows * input_width, true, &input) &&
       array_value(env, values[PASS_TOKENS], "tokens", napi_int32_array, listed, listed == 0, &tokens) &&
       array_value(env, values[PASS_LOG_PROBS], "logProbs", napi_float32_array, listed, listed == 0, &log_probs) &&
       array_value(env, values[PASS_IDS], "ids", napi_int32_array, vocab, true, &ids) &&
       array_value(env, values[PASS_PICKS], "picks", napi_int32_array, outputs, true, &picks) &&
       array_value(env, values[PASS_PENALISED_TOKENS], "penalisedTokens", napi_int32_array, penalised, penalised == 0, &best) &&
       array_value(env, values[PASS_PENALISED_LOGITS], "penalisedLogits", napi_float32_array, penalised, penalised == 0, &best_logits) &&
       array_value(env, values[PASS_LOGITS], "logits", napi_float32_array, outputs * vocab, true, &logits) &&
       array_value(env, values[PASS_ABORT], "abort", napi_int32_array, 1, true, &abort) &&
       array_value(env, values[PASS_TAPS], "taps", napi_int32_array, 0, true, &taps);
  size_t tap_count = 0, more_count = 0;
  if (ok && taps) {
    ok = napi_get_typedarray_info(env, values[PASS_TAPS], NULL, &tap_count, NULL, NULL, NULL) == napi_ok && tap_count <= 1025;
    size_t states = 0; /* rows of hiddenOut */
    for (size_t i = 0; ok && i < tap_count; i++) {
      const size_t end = i * (size_t)rows + (pass->last_only && ((const int32_t *)taps)[i] == pass->to ? count : (size_t)rows);
      if (end > states) states = end;
    }
    ok = ok && array_value(env, values[PASS_HIDDEN], "hiddenOut", napi_float32_array, states * width, false, &hidden);
    pass->taps = taps;
    pass->tap_count = (int32_t)tap_count;
    pass->hidden = hidden;
  }
  ok = ok && array_value(env, values[PASS_MORE], "more", napi_int32_array, 0, true, &more);
  if (ok && more) {
    ok = napi_get_typedarray_info(env, values[PASS_MORE], NULL, &more_count, NULL, NULL, NULL) == napi_ok && more_count <= ESP_MAX_MORE;
    pass->more = more;
    pass->more_count = (int32_t)more_count;
  }
  if (!ok) {
    free_job(&job->base);
    fail(env, "internal: the request of a pass");
    return NULL;
  }
  pass->input = input;
  pass->top_tokens = tokens;
  pass->top_log_probs = log_probs;
  pass->picks = picks;
  pass->penalised_tokens = best;
  pass->penalised_logits = best_logits;
  pass->ids = ids;
  pass->logits = logits;
  pass->abort = abort;
  return job;
}

/* (a pass) -> Promise; rejects with code "aborted", "invalid", "full" or "no-memory" */
static napi_value forward(napi_env env, napi_callback_info info) {
  napi_value request;
  if (!arguments(env, info, 1, &request)) return NULL;
  PassJob *job = read_pass(env, request);
  return job ? start_job(env, &job->base, request) : NULL;
}

/* (a pass) -> nothing, when it is done; throws with such a code. For passes that are shorter than a way to another thread. */
static napi_value forward_now(napi_env env, napi_callback_info info) {
  napi_value request;
  if (!arguments(env, info, 1, &request)) return NULL;
  PassJob *job = read_pass(env, request);
  if (!job) return NULL;
  run_pass(&job->base);
  if (job->base.status != ESP_OK) napi_throw_error(env, status_codes[job->base.status], job->base.message);
  free_job(&job->base);
  return NULL;
}

/* A pass that another thread of the pool runs while JavaScript goes on. */
struct Aside {
  napi_env env;
  PassJob *job; /* which holds stack and pool */
  EspPool *pool;
};

void free_aside(Aside *aside) {
  esp_pool_end(aside->pool);
  napi_delete_reference(aside->env, aside->job->base.request);
  free_job(&aside->job->base);
  free(aside);
}

static void run_aside(void *context, int thread) {
  (void)thread;
  run_pass(&((Aside *)context)->job->base);
}

/* (a pass) -> its handle, or null: no thread can be spared. Nothing of the request may change until the end. */
static napi_value forward_begin(napi_env env, napi_callback_info info) {
  napi_value request, result = NULL;
  if (!arguments(env, info, 1, &request)) return NULL;
  PassJob *job = read_pass(env, request);
  if (!job) return NULL;
  job->pass.alone = true;
  Aside *aside = calloc(1, sizeof *aside);
  if (!aside || napi_create_reference(env, request, 1, &job->base.request) != napi_ok) {
    free(aside);
    free_job(&job->base);
    return fail(env, "internal: no memory for a job");
  }
  *aside = (Aside){.env = env, .job = job, .pool = esp_stack_pool(job->stack)};
  if (esp_pool_begin(aside->pool, run_aside, aside)) return wrap(env, BOX_ASIDE, aside, NULL, 0);
  free_aside(aside);
  CALL(env, napi_get_null(env, &result));
  return result;
}

/* (its handle) -> nothing, when it is done; throws as forwardNow does */
static napi_value forward_end(napi_env env, napi_callback_info info) {
  napi_value argument;
  Box *box;
  if (!arguments(env, info, 1, &argument) || !(box = unbox(env, argument, BOX_ASIDE))) return NULL;
  const Aside *aside = box->handle;
  esp_pool_end(aside->pool);
  const Job *job = &aside->job->base;
  if (job->status != ESP_OK) napi_throw_error(env, status_codes[job->status], job->message);
  free_handle(box);
  return NULL;
}

const Function pass_functions[] = {
    {"forward", forward},
    {"forwardNow", forward_now},
    {"forwardBegin", forward_begin},
    {"forwardEnd", forward_end},
    {NULL, NULL},
};
