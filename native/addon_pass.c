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

/* Of {seed, scale, reach, topP?, ahead?}, if there is one. */
static bool pick_property(napi_env env, napi_value tree, EspPick *pick) {
  napi_value value, top_p, ahead;
  bool given;
  double seed;
  if (!property(env, tree, "pick", &value, &given)) return false;
  if (!given) return true;
  if (!number_property(env, value, "seed", &seed) || !number_property(env, value, "scale", &pick->scale) ||
      !number_property(env, value, "reach", &pick->reach) || !property(env, value, "topP", &top_p, &given)) {
    return false;
  }
  pick->top_p = 1;
  if ((given && !number_property(env, value, "topP", &pick->top_p)) || !property(env, value, "ahead", &ahead, &given) ||
      (given && !int_property(env, value, "ahead", &pick->ahead))) {
    return false;
  }
  pick->seed = seed >= 0 && seed <= UINT32_MAX ? (uint32_t)seed : 0;
  if (pick->seed == seed) return true;
  fail(env, "internal: a seed is no integer of 32 bits");
  return false;
}

/* Of {repetition, frequency, presence, text: {size, tokens, generated}}, if there are any. */
static bool penalties_property(napi_env env, napi_value tree, Job *job, EspPenalties *penalties) {
  napi_value value, text;
  bool given;
  void *tokens, *generated;
  if (!property(env, tree, "penalties", &value, &given)) return false;
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
    napi_value entry, value;
    bool given;
    void *tokens, *parents;
    EspTree *tree = &job->trees[t];
    Box *cache = NULL;
    if (napi_get_element(env, list, (uint32_t)t, &entry) != napi_ok || !property(env, entry, "cache", &value, &given) ||
        !(cache = take(env, &job->base, value, BOX_CACHE)) || !int_property(env, entry, "size", &tree->size) ||
        !int_property(env, entry, "first", &tree->first) || !pick_property(env, entry, &tree->pick) ||
        !penalties_property(env, entry, &job->base, &tree->penalties)) {
      return false;
    }
    tree->cache = cache->handle;
    if (tree->size < 1 || tree->size > ESP_MAX_NODES || tree->first < 0 || tree->first >= tree->size) {
      fail(env, "internal: a tree has no new nodes or too many");
      return false;
    }
    if (!array_property(env, entry, "tokens", napi_int32_array, (size_t)tree->size, false, &tokens) ||
        !array_property(env, entry, "parents", napi_int32_array, (size_t)tree->size, false, &parents)) {
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
static bool chain_property(napi_env env, napi_value request, PassJob *job) {
  napi_value value;
  bool given;
  void *odds, *done;
  EspChain *chain = &job->chain;
  if (!property(env, request, "chain", &value, &given)) return false;
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

/*
 * The job of {stack, trees: [{cache, tokens, parents, size, first, pick?, penalties?}], from, to, input?, fuse?, alone?, lastOnly, topK, ids?, tokens?,
 * logProbs?, picks?, penalisedK?, penalisedTokens?, penalisedLogits?, logits?, taps?, hiddenOut?, more?, abort?, commit, chain?}; NULL with an exception pending.
 */
static PassJob *read_pass(napi_env env, napi_value request) {
  napi_value value, list;
  bool given;
  uint32_t count;
  if (napi_get_named_property(env, request, "trees", &list) != napi_ok || napi_get_array_length(env, list, &count) != napi_ok ||
      count < 1 || count > ESP_MAX_TREES) {
    fail(env, "internal: a pass takes 1 to 64 trees");
    return NULL;
  }
  const size_t id_bytes = (size_t)count * 2 * ESP_MAX_NODES * sizeof(int32_t);
  PassJob *job = (PassJob *)new_job(env, sizeof *job + count * sizeof *job->trees + id_bytes, run_pass);
  if (!job) return NULL;
  job->ids = (int32_t *)(job->trees + count);
  Box *box = NULL;
  if (napi_get_named_property(env, request, "stack", &value) == napi_ok) box = take(env, &job->base, value, BOX_STACK);
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
  bool ok = read_trees(env, list, pass->tree_count, job, &rows) &&
            int_property(env, request, "from", &pass->from) && int_property(env, request, "to", &pass->to) &&
            int_property(env, request, "topK", &pass->top_k) && pass->top_k >= 0 && pass->top_k <= ESP_MAX_TOP_K &&
            property(env, request, "penalisedK", &value, &given) && (!given || get_int(env, value, &pass->penalised_k)) &&
            pass->penalised_k >= 0 && pass->penalised_k <= ESP_MAX_TOP_K &&
            napi_get_named_property(env, request, "lastOnly", &value) == napi_ok &&
            napi_get_value_bool(env, value, &pass->last_only) == napi_ok &&
            napi_get_named_property(env, request, "commit", &value) == napi_ok &&
            napi_get_value_bool(env, value, &job->commit) == napi_ok && property(env, request, "fuse", &value, &given) &&
            (!given || napi_get_value_bool(env, value, &pass->fuse) == napi_ok) && property(env, request, "alone", &value, &given) &&
            (!given || napi_get_value_bool(env, value, &pass->alone) == napi_ok) && chain_property(env, request, job);
  const size_t input_width = pass->fuse && spec->fuse ? (size_t)spec->fuse->cols : width;
  const size_t outputs = pass->last_only ? count : (size_t)rows;
  const size_t listed = (outputs + (size_t)job->chain.levels) * (size_t)pass->top_k;
  const size_t penalised = outputs * (size_t)pass->penalised_k;
  ok = ok && array_property(env, request, "input", napi_float32_array, (size_t)rows * input_width, true, &input) &&
       array_property(env, request, "tokens", napi_int32_array, listed, listed == 0, &tokens) &&
       array_property(env, request, "logProbs", napi_float32_array, listed, listed == 0, &log_probs) &&
       array_property(env, request, "ids", napi_int32_array, vocab, true, &ids) &&
       array_property(env, request, "picks", napi_int32_array, outputs, true, &picks) &&
       array_property(env, request, "penalisedTokens", napi_int32_array, penalised, penalised == 0, &best) &&
       array_property(env, request, "penalisedLogits", napi_float32_array, penalised, penalised == 0, &best_logits) &&
       array_property(env, request, "logits", napi_float32_array, outputs * vocab, true, &logits) &&
       array_property(env, request, "abort", napi_int32_array, 1, true, &abort) &&
       property(env, request, "taps", &value, &given);
  size_t tap_count = 0, more_count = 0;
  if (ok && given) {
    ok = napi_get_typedarray_info(env, value, NULL, &tap_count, NULL, NULL, NULL) == napi_ok && tap_count <= 1025 &&
         array_property(env, request, "taps", napi_int32_array, tap_count, false, &taps);
    size_t states = 0; /* rows of hiddenOut */
    for (size_t i = 0; ok && i < tap_count; i++) {
      const size_t end = i * (size_t)rows + (pass->last_only && ((const int32_t *)taps)[i] == pass->to ? count : (size_t)rows);
      if (end > states) states = end;
    }
    ok = ok && array_property(env, request, "hiddenOut", napi_float32_array, states * width, false, &hidden);
    pass->taps = taps;
    pass->tap_count = (int32_t)tap_count;
    pass->hidden = hidden;
  }
  ok = ok && property(env, request, "more", &value, &given);
  if (ok && given) {
    ok = array_property(env, request, "more", napi_int32_array, 0, false, &more) &&
         napi_get_typedarray_info(env, value, NULL, &more_count, NULL, NULL, NULL) == napi_ok && more_count <= ESP_MAX_MORE;
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
