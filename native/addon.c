/*
 * addon.c - the engine for Node, through Node-API. Every handle is an External around a Box, which is refused once it
 * or what it rests on is freed, and is not freed while a job holds it. Sizes of all buffers are checked here; buffers that are
 * written or long must stay as they are until a job is done.
 */
#include "addon.h"
#include "store.h"
#include "suffixes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Box {
  BoxKind kind;
  void *handle; /* NULL once freed */
  int32_t users; /* its External, boxes that rest on it, and jobs */
  int32_t busy; /* jobs that use the handle, or that of a box that rests on it */
  bool doomed; /* to be freed when it is no longer busy */
  int32_t base_count;
  struct Box *bases[]; /* what it rests on: a matrix on its arena, a stack on its pool and its matrices' arenas */
};

napi_value fail(napi_env env, const char *message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, NULL, message);
  return NULL;
}

static void free_handle(Box *box) {
  if (!box->handle) return;
  switch (box->kind) {
    case BOX_POOL: esp_pool_free(box->handle); break;
    case BOX_ARENA: esp_arena_free(box->handle); break;
    case BOX_MATRIX: break; /* lives in its arena */
    case BOX_STACK: esp_stack_free(box->handle); break;
    case BOX_CACHE: esp_cache_free(box->handle); break;
    case BOX_STORE: esp_store_close(box->handle); break;
  }
  box->handle = NULL;
}

static void drop(Box *box) {
  if (--box->users > 0) return;
  for (int32_t i = 0; i < box->base_count; i++) drop(box->bases[i]);
  free(box);
}

/* Keeps the handle of a box, and those it rests on, until let_go. */
static Box *hold(Box *box) {
  box->users++;
  box->busy++;
  for (int32_t i = 0; i < box->base_count; i++) box->bases[i]->busy++;
  return box;
}

static void calm(Box *box) {
  if (--box->busy == 0 && box->doomed) free_handle(box);
}

static void let_go(Box *box) {
  calm(box);
  for (int32_t i = 0; i < box->base_count; i++) calm(box->bases[i]);
  drop(box);
}

static void finalize(napi_env env, void *data, void *hint) {
  (void)env;
  (void)hint;
  Box *box = data;
  if (box->busy > 0) box->doomed = true;
  else free_handle(box);
  drop(box);
}

napi_value wrap(napi_env env, BoxKind kind, void *handle, Box *const *bases, int32_t base_count) {
  napi_value result = NULL;
  if (!handle) {
    CALL(env, napi_get_null(env, &result));
    return result;
  }
  Box *box = malloc(sizeof *box + (size_t)base_count * sizeof *box->bases);
  if (box) {
    *box = (Box){.kind = kind, .handle = handle, .users = 1, .base_count = base_count};
    for (int32_t i = 0; i < base_count; i++) {
      box->bases[i] = bases[i];
      bases[i]->users++;
    }
  }
  if (!box || napi_create_external(env, box, finalize, NULL, &result) != napi_ok) {
    Box lost = {.kind = kind, .handle = handle};
    free_handle(&lost);
    if (box) drop(box);
    return fail(env, "internal: no memory for a handle");
  }
  return result;
}

static bool live(const Box *box) {
  if (!box->handle) return false;
  for (int32_t i = 0; i < box->base_count; i++) {
    if (!box->bases[i]->handle) return false;
  }
  return true;
}

static Box *unbox(napi_env env, napi_value value, BoxKind kind) {
  napi_valuetype type;
  Box *box = NULL;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_external) {
    napi_get_value_external(env, value, (void **)&box);
  }
  if (box && box->kind == kind && live(box)) return box;
  fail(env, "internal: not a live handle of this kind");
  return NULL;
}

/* The same, its handle alone, for what no job may work on meanwhile. */
static void *unwrap_idle(napi_env env, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  if (!box || box->busy == 0) return box ? box->handle : NULL;
  fail(env, "internal: a pass runs on this handle");
  return NULL;
}

void *unwrap(napi_env env, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  return box ? box->handle : NULL;
}

bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values) {
  size_t given = count;
  if (napi_get_cb_info(env, info, &given, values, NULL, NULL) == napi_ok && given >= count) return true;
  fail(env, "internal: missing arguments");
  return false;
}

bool get_int(napi_env env, napi_value value, int32_t *result) {
  double number;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= INT32_MIN && number <= INT32_MAX) {
    *result = (int32_t)number;
    if (*result == number) return true;
  }
  fail(env, "internal: an integer is missing or out of range");
  return false;
}

bool property(napi_env env, napi_value object, const char *name, napi_value *value, bool *given) {
  napi_valuetype type;
  if (napi_get_named_property(env, object, name, value) != napi_ok || napi_typeof(env, *value, &type) != napi_ok) {
    fail(env, "internal: no such property");
    return false;
  }
  *given = type != napi_undefined && type != napi_null;
  return true;
}

bool int_property(napi_env env, napi_value object, const char *name, int32_t *result) {
  napi_value value;
  bool given;
  return property(env, object, name, &value, &given) && get_int(env, value, result);
}

static bool number_property(napi_env env, napi_value object, const char *name, double *result) {
  napi_value value;
  bool given;
  if (!property(env, object, name, &value, &given)) return false;
  if (napi_get_value_double(env, value, result) == napi_ok) return true;
  fail(env, "internal: a number is missing");
  return false;
}

bool array_property(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t count,
                           bool optional, void **data) {
  napi_value value;
  bool given, is_array = false;
  *data = NULL;
  if (!property(env, object, name, &value, &given)) return false;
  if (!given && optional) return true;
  napi_typedarray_type actual;
  size_t length;
  if (napi_is_typedarray(env, value, &is_array) != napi_ok || !is_array ||
      napi_get_typedarray_info(env, value, &actual, &length, data, NULL, NULL) != napi_ok || actual != type ||
      length < count) {
    char message[128];
    snprintf(message, sizeof message, "internal: %s is not a typed array of %zu elements", name, count);
    fail(env, message);
    return false;
  }
  return true;
}

static napi_value boolean(napi_env env, bool value) {
  napi_value result = NULL;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value integer(napi_env env, int32_t value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}

/* ---- instruction sets ------------------------------------------------------------------------------------------- */

/* () -> [{name, usable}], best first */
static napi_value isas(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value list, entry, name;
  CALL(env, napi_create_array(env, &list));
  for (int i = 0; i < esp_isa_count(); i++) {
    CALL(env, napi_create_object(env, &entry));
    CALL(env, napi_create_string_utf8(env, esp_isa_name(i), NAPI_AUTO_LENGTH, &name));
    CALL(env, napi_set_named_property(env, entry, "name", name));
    CALL(env, napi_set_named_property(env, entry, "usable", boolean(env, esp_isa_usable(i))));
    CALL(env, napi_set_element(env, list, (uint32_t)i, entry));
  }
  return list;
}

/* () -> name */
static napi_value current_isa(napi_env env, napi_callback_info info) {
  (void)info;
  napi_value name;
  CALL(env, napi_create_string_utf8(env, esp_isa_current(), NAPI_AUTO_LENGTH, &name));
  return name;
}

/* (name) -> boolean */
static napi_value select_isa(napi_env env, napi_callback_info info) {
  napi_value argument;
  char name[64];
  if (!arguments(env, info, 1, &argument)) return NULL;
  CALL(env, napi_get_value_string_utf8(env, argument, name, sizeof name, NULL));
  return boolean(env, esp_isa_select(name));
}

/* ---- handles ---------------------------------------------------------------------------------------------------- */

/* (handle): frees it now instead of when it is collected; throws while a job uses it */
static napi_value release(napi_env env, napi_callback_info info) {
  napi_value argument;
  napi_valuetype type;
  Box *box = NULL;
  if (!arguments(env, info, 1, &argument)) return NULL;
  CALL(env, napi_typeof(env, argument, &type));
  if (type == napi_external) CALL(env, napi_get_value_external(env, argument, (void **)&box));
  if (box && box->busy > 0) return fail(env, "internal: a pass runs on this handle");
  if (box) free_handle(box);
  return NULL;
}

/* (threads) -> pool or null */
static napi_value create_pool(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t threads;
  if (!arguments(env, info, 1, &argument) || !get_int(env, argument, &threads)) return NULL;
  return wrap(env, BOX_POOL, esp_pool_create(threads), NULL, 0);
}

/* (type, fourBit, rows, cols) -> bytes in an arena, 0 when there is no such matrix */
static napi_value matrix_bytes(napi_env env, napi_callback_info info) {
  napi_value values[4], result;
  int32_t type, rows, cols;
  bool four_bit;
  if (!arguments(env, info, 4, values) || !get_int(env, values[0], &type) || !get_int(env, values[2], &rows) ||
      !get_int(env, values[3], &cols)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[1], &four_bit));
  CALL(env, napi_create_double(env, (double)esp_matrix_bytes(type, four_bit, rows, cols), &result));
  return result;
}

/* (bytes) -> arena or null */
static napi_value create_arena(napi_env env, napi_callback_info info) {
  napi_value argument;
  double bytes;
  if (!arguments(env, info, 1, &argument)) return NULL;
  CALL(env, napi_get_value_double(env, argument, &bytes));
  if (!(bytes >= 0 && bytes < 9e15)) return fail(env, "internal: size of an arena");
  return wrap(env, BOX_ARENA, esp_arena_create((size_t)bytes), NULL, 0);
}

/* (arena, type, fourBit, rows, cols) -> matrix or null */
static napi_value create_matrix(napi_env env, napi_callback_info info) {
  napi_value values[5];
  int32_t type, rows, cols;
  bool four_bit;
  Box *arena;
  if (!arguments(env, info, 5, values) || !(arena = unbox(env, values[0], BOX_ARENA)) ||
      !get_int(env, values[1], &type) || !get_int(env, values[3], &rows) || !get_int(env, values[4], &cols)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[2], &four_bit));
  return wrap(env, BOX_MATRIX, esp_matrix_create(arena->handle, type, four_bit, rows, cols), &arena, 1);
}

/* (matrix, count) -> bytes in an arena of so many of its rows, 0 when there are none such */
static napi_value gathered_bytes(napi_env env, napi_callback_info info) {
  napi_value values[2], result;
  const EspMatrix *matrix;
  int32_t count;
  if (!arguments(env, info, 2, values) || !(matrix = unwrap(env, values[0], BOX_MATRIX)) || !get_int(env, values[1], &count)) {
    return NULL;
  }
  CALL(env, napi_create_double(env, (double)esp_matrix_gathered_bytes(matrix, count), &result));
  return result;
}

/* (arena, matrix, Int32Array rows) -> a matrix of these rows, or null */
static napi_value gather_matrix(napi_env env, napi_callback_info info) {
  napi_value values[3];
  Box *arena;
  const EspMatrix *matrix;
  napi_typedarray_type type;
  size_t length;
  void *rows;
  if (!arguments(env, info, 3, values) || !(arena = unbox(env, values[0], BOX_ARENA)) ||
      !(matrix = unwrap(env, values[1], BOX_MATRIX))) {
    return NULL;
  }
  CALL(env, napi_get_typedarray_info(env, values[2], &type, &length, &rows, NULL, NULL));
  if (type != napi_int32_array || length > 1 << 24) return fail(env, "internal: rows of a matrix");
  return wrap(env, BOX_MATRIX, esp_matrix_gather(arena->handle, matrix, rows, (int32_t)length), &arena, 1);
}

/* What a stack rests on. */
typedef struct {
  Box *list[8];
  int32_t count;
} Bases;

/* The matrix of that name, NULL when it is absent and `optional`; its arena joins `bases`, held. */
static EspMatrix *matrix_property(napi_env env, napi_value object, const char *name, bool optional, Bases *bases,
                                  bool *ok) {
  napi_value value;
  bool given;
  if (!*ok || !(*ok = property(env, object, name, &value, &given)) || (!given && optional)) return NULL;
  Box *box = unbox(env, value, BOX_MATRIX);
  if (!(*ok = box != NULL)) return NULL;
  int32_t at = 0;
  while (at < bases->count && bases->list[at] != box->bases[0]) at++;
  if (at == bases->count) {
    if (at == sizeof bases->list / sizeof *bases->list) {
      fail(env, "internal: the matrices of a stack lie in too many arenas");
      *ok = false;
      return NULL;
    }
    bases->list[bases->count++] = hold(box->bases[0]);
  }
  return box->handle;
}

/* The ropes of a specification; false: an exception is pending. */
static bool ropes_property(napi_env env, napi_value object, EspStackSpec *spec) {
  napi_value list, entry, value;
  uint32_t count = 0;
  if (napi_get_named_property(env, object, "ropes", &list) != napi_ok || napi_get_array_length(env, list, &count) != napi_ok ||
      count > ESP_MAX_ROPES || spec->rope_dims < 0) {
    fail(env, "internal: ropes must be a list of at most 4");
    return false;
  }
  spec->ropes = (int32_t)count;
  for (uint32_t i = 0; i < count; i++) {
    double amplitude;
    void *factors;
    if (napi_get_element(env, list, i, &entry) != napi_ok || napi_get_named_property(env, entry, "base", &value) != napi_ok ||
        napi_get_value_double(env, value, &spec->rope[i].base) != napi_ok ||
        napi_get_named_property(env, entry, "amplitude", &value) != napi_ok ||
        napi_get_value_double(env, value, &amplitude) != napi_ok) {
      fail(env, "internal: a rope without base or amplitude");
      return false;
    }
    if (!array_property(env, entry, "factors", napi_float32_array, (size_t)spec->rope_dims / 2, true, &factors)) return false;
    spec->rope[i].amplitude = (float)amplitude;
    spec->rope[i].factors = factors;
  }
  return true;
}

/* (pool, spec) -> stack. Throws what is wrong with the spec. */
static napi_value create_stack(napi_env env, napi_callback_info info) {
  napi_value values[2], list, value, entry;
  Box *pool;
  EspStackSpec spec = {0};
  uint32_t count;
  bool ok = true, gelu, given;
  if (!arguments(env, info, 2, values) || !(pool = unbox(env, values[0], BOX_POOL))) return NULL;
  Bases bases = {.list = {pool}, .count = 1};
  napi_value object = values[1];
  const struct { const char *name; int32_t *to; } integers[] = {
      {"hidden", &spec.hidden}, {"feed", &spec.feed},   {"heads", &spec.heads},         {"kvHeads", &spec.kv_heads},
      {"headSize", &spec.head_size}, {"vocab", &spec.vocab}, {"ropeDims", &spec.rope_dims},
  };
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
    if (!int_property(env, object, integers[i].name, integers[i].to)) return NULL;
  }
  CALL(env, napi_get_named_property(env, object, "ropeNeox", &value));
  CALL(env, napi_get_value_bool(env, value, &spec.rope_neox));
  if (!ropes_property(env, object, &spec)) return NULL;
  CALL(env, napi_get_named_property(env, object, "gelu", &value));
  CALL(env, napi_get_value_bool(env, value, &gelu));
  spec.activation = gelu ? ESP_GELU : ESP_SILU;
  const struct { const char *name; float *to; } numbers[] = {
      {"normEpsilon", &spec.norm_epsilon},     {"embeddingScale", &spec.embedding_scale}, {"attentionScale", &spec.attention_scale},
      {"attentionCap", &spec.attention_cap}, {"logitCap", &spec.logit_cap},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    double number;
    CALL(env, napi_get_named_property(env, object, numbers[i].name, &value));
    CALL(env, napi_get_value_double(env, value, &number));
    *numbers[i].to = (float)number;
  }
  CALL(env, napi_get_named_property(env, object, "layers", &list));
  CALL(env, napi_get_array_length(env, list, &count));
  if (count < 1 || count > 1024 || spec.hidden < 1 || spec.hidden > 1 << 20) {
    return fail(env, "internal: layers or hidden out of range");
  }
  spec.layers = (int32_t)count;
  EspLayer *layers = calloc(count, sizeof *layers);
  if (!layers) return fail(env, "internal: no memory for a specification");
  const size_t hidden = (size_t)spec.hidden;
  for (uint32_t i = 0; ok && i < count; i++) {
    EspLayer *layer = &layers[i];
    const int64_t query = (int64_t)spec.heads * spec.head_size, key = (int64_t)spec.kv_heads * spec.head_size;
    const struct { const char *name; const float **to; int64_t size; bool optional; } vectors[] = {
        {"attentionNorm", &layer->attention_norm, spec.hidden, true},
        {"feedNorm", &layer->feed_norm, spec.hidden, false},
        {"queryBias", &layer->query_bias, query, true},
        {"keyBias", &layer->key_bias, key, true},
        {"valueBias", &layer->value_bias, key, true},
        {"queryNorm", &layer->query_norm, spec.head_size, true},
        {"keyNorm", &layer->key_norm, spec.head_size, true},
        {"attentionPostNorm", &layer->attention_post_norm, spec.hidden, true},
        {"feedPostNorm", &layer->feed_post_norm, spec.hidden, true},
    };
    ok = napi_get_element(env, list, i, &entry) == napi_ok && int_property(env, entry, "rope", &layer->rope) &&
         int_property(env, entry, "window", &layer->window);
    for (size_t v = 0; ok && v < sizeof vectors / sizeof *vectors; v++) {
      void *data = NULL;
      ok = array_property(env, entry, vectors[v].name, napi_float32_array, (size_t)vectors[v].size, vectors[v].optional, &data);
      *vectors[v].to = data;
    }
    if (!ok) break;
    layer->query = matrix_property(env, entry, "query", false, &bases, &ok);
    layer->key = matrix_property(env, entry, "key", false, &bases, &ok);
    layer->value = matrix_property(env, entry, "value", false, &bases, &ok);
    layer->output = matrix_property(env, entry, "output", false, &bases, &ok);
    layer->gate = matrix_property(env, entry, "gate", false, &bases, &ok);
    layer->up = matrix_property(env, entry, "up", false, &bases, &ok);
    layer->down = matrix_property(env, entry, "down", false, &bases, &ok);
  }
  spec.embedding = matrix_property(env, object, "embedding", true, &bases, &ok);
  spec.head = matrix_property(env, object, "head", true, &bases, &ok);
  spec.others = matrix_property(env, object, "others", true, &bases, &ok);
  spec.join = matrix_property(env, object, "join", true, &bases, &ok);
  spec.fuse = matrix_property(env, object, "fuse", true, &bases, &ok);
  void *final_norm = NULL, *token_norm = NULL, *feature_norm = NULL, *fuse_norm = NULL, *join_bias = NULL;
  ok = ok && array_property(env, object, "finalNorm", napi_float32_array, hidden, true, &final_norm) &&
       array_property(env, object, "tokenNorm", napi_float32_array, hidden, true, &token_norm) &&
       array_property(env, object, "featureNorm", napi_float32_array, hidden, true, &feature_norm) &&
       array_property(env, object, "fuseNorm", napi_float32_array, spec.fuse ? (size_t)spec.fuse->cols : hidden, true, &fuse_norm) &&
       array_property(env, object, "joinBias", napi_float32_array, hidden, true, &join_bias) &&
       property(env, object, "wide", &value, &given) && (!given || napi_get_value_bool(env, value, &spec.wide) == napi_ok);
  const char *message = "internal: the specification of a stack";
  EspStack *stack = NULL;
  if (ok && live(pool)) {
    spec.final_norm = final_norm;
    spec.token_norm = token_norm;
    spec.feature_norm = feature_norm;
    spec.fuse_norm = fuse_norm;
    spec.join_bias = join_bias;
    spec.layer = layers;
    stack = esp_stack_create(&spec, pool->handle, &message);
  }
  free(layers);
  napi_value result = stack ? wrap(env, BOX_STACK, stack, bases.list, bases.count) : fail(env, message);
  for (int32_t i = 1; i < bases.count; i++) let_go(bases.list[i]);
  return result;
}

/* (stack, capacity, half) -> cache or null */
static napi_value create_cache(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t capacity;
  bool half;
  EspStack *stack;
  if (!arguments(env, info, 3, values) || !(stack = unwrap(env, values[0], BOX_STACK)) ||
      !get_int(env, values[1], &capacity)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[2], &half));
  return wrap(env, BOX_CACHE, esp_cache_create(stack, capacity, half), NULL, 0);
}

/* (cache) -> committed positions */
static napi_value cache_length(napi_env env, napi_callback_info info) {
  napi_value argument;
  EspCache *cache;
  if (!arguments(env, info, 1, &argument) || !(cache = unwrap(env, argument, BOX_CACHE))) return NULL;
  return integer(env, esp_cache_length(cache));
}

/* (cache, Int32Array path) -> status */
static napi_value cache_commit(napi_env env, napi_callback_info info) {
  napi_value values[2];
  EspCache *cache;
  napi_typedarray_type type;
  size_t length;
  void *path;
  if (!arguments(env, info, 2, values) || !(cache = unwrap_idle(env, values[0], BOX_CACHE))) return NULL;
  CALL(env, napi_get_typedarray_info(env, values[1], &type, &length, &path, NULL, NULL));
  if (type != napi_int32_array || length > ESP_MAX_NODES) return integer(env, ESP_INVALID);
  return integer(env, esp_cache_commit(cache, path, (int32_t)length));
}

/* (cache, Int32Array nodes) -> status */
static napi_value cache_arrange(napi_env env, napi_callback_info info) {
  napi_value values[2];
  EspCache *cache;
  napi_typedarray_type type;
  size_t length;
  void *nodes;
  if (!arguments(env, info, 2, values) || !(cache = unwrap_idle(env, values[0], BOX_CACHE))) return NULL;
  CALL(env, napi_get_typedarray_info(env, values[1], &type, &length, &nodes, NULL, NULL));
  if (type != napi_int32_array || length > ESP_MAX_NODES) return integer(env, ESP_INVALID);
  return integer(env, esp_cache_arrange(cache, nodes, (int32_t)length));
}

/* (cache) */
static napi_value cache_rollback(napi_env env, napi_callback_info info) {
  napi_value argument;
  EspCache *cache;
  if (!arguments(env, info, 1, &argument) || !(cache = unwrap_idle(env, argument, BOX_CACHE))) return NULL;
  esp_cache_rollback(cache);
  return NULL;
}

/* (cache, length) -> boolean */
static napi_value cache_truncate(napi_env env, napi_callback_info info) {
  napi_value values[2];
  int32_t length;
  EspCache *cache;
  if (!arguments(env, info, 2, values) || !(cache = unwrap_idle(env, values[0], BOX_CACHE)) ||
      !get_int(env, values[1], &length)) {
    return NULL;
  }
  return boolean(env, esp_cache_truncate(cache, length));
}

/* (cache) -> bytes */
static napi_value cache_bytes(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  EspCache *cache;
  if (!arguments(env, info, 1, &argument) || !(cache = unwrap_idle(env, argument, BOX_CACHE))) return NULL;
  CALL(env, napi_create_double(env, (double)esp_cache_bytes(cache), &result));
  return result;
}

/* () -> {used, kept}, bytes of all that the engine has taken in this process; null where that is not counted */
static napi_value memory_bytes(napi_env env, napi_callback_info info) {
  (void)info;
  EspMemory memory;
  napi_value result, used, kept;
  if (!esp_memory(&memory)) {
    CALL(env, napi_get_null(env, &result));
    return result;
  }
  CALL(env, napi_create_object(env, &result));
  CALL(env, napi_create_double(env, (double)memory.used, &used));
  CALL(env, napi_create_double(env, (double)memory.kept, &kept));
  CALL(env, napi_set_named_property(env, result, "used", used));
  CALL(env, napi_set_named_property(env, result, "kept", kept));
  return result;
}

/* (cache, from, known, length) -> status */
static napi_value cache_copy(napi_env env, napi_callback_info info) {
  napi_value values[4];
  int32_t known, length;
  EspCache *cache, *from;
  if (!arguments(env, info, 4, values) || !(cache = unwrap_idle(env, values[0], BOX_CACHE)) ||
      !(from = unwrap_idle(env, values[1], BOX_CACHE)) || !get_int(env, values[2], &known) || !get_int(env, values[3], &length)) {
    return NULL;
  }
  return integer(env, esp_cache_copy(cache, from, known, length));
}

/* (cache, layers, length) -> status */
static napi_value cache_fill(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t layers, length;
  EspCache *cache;
  if (!arguments(env, info, 3, values) || !(cache = unwrap_idle(env, values[0], BOX_CACHE)) || !get_int(env, values[1], &layers) ||
      !get_int(env, values[2], &length)) {
    return NULL;
  }
  return integer(env, esp_cache_fill(cache, layers, length));
}

/* ---- work off the JavaScript thread ------------------------------------------------------------------------------ */

typedef struct Job {
  napi_async_work work;
  napi_deferred deferred;
  napi_ref request; /* keeps buffers and handles alive */
  EspStatus status;
  const char *message;
  enum { JOB_FILL, JOB_FORWARD, JOB_SORT, JOB_PREPARE } kind;
  Box *held[1 + ESP_MAX_TREES]; /* what it works on */
  int32_t held_count;
  /* fill */
  EspMatrix *matrix;
  int32_t first, rows;
  const uint8_t *bytes;
  /* sort */
  EspSuffixSort sort;
  /* prepare */
  EspCache *cache;
  int32_t length;
  /* forward */
  EspStack *stack;
  EspPass pass;
  bool commit;
  int32_t *ids; /* the trees' tokens and parents, which a caller may change meanwhile */
  EspTree trees[];
} Job;

static void execute(napi_env env, void *data) {
  (void)env;
  Job *job = data;
  if (job->kind == JOB_FILL) {
    job->status = esp_matrix_fill(job->matrix, job->first, job->rows, job->bytes) ? ESP_OK : ESP_INVALID;
    job->message = "rows outside the matrix";
    return;
  }
  if (job->kind == JOB_SORT) {
    job->status = esp_suffix_sort(&job->sort);
    job->message = job->status == ESP_INVALID ? "tokens outside the alphabet" : "suffixes cannot be sorted";
    return;
  }
  if (job->kind == JOB_PREPARE) {
    job->status = esp_cache_prepare(job->cache, job->length) ? ESP_OK : ESP_NO_MEMORY;
    job->message = "the text is longer than the cache, or there is no memory";
    return;
  }
  job->status = esp_forward(job->stack, &job->pass, &job->message);
  for (int32_t t = 0; job->commit && job->status == ESP_OK && t < job->pass.tree_count; t++) {
    int32_t path[ESP_MAX_NODES];
    for (int32_t i = 0; i < job->trees[t].size; i++) path[i] = i;
    job->status = esp_cache_commit(job->trees[t].cache, path, job->trees[t].size);
    job->message = "the rows cannot be committed";
  }
}

const char *const status_codes[] = {"ok", "aborted", "invalid", "full", "no-memory", "changed"};

static void free_job(Job *job) {
  for (int32_t i = 0; i < job->held_count; i++) let_go(job->held[i]);
  free(job->ids);
  free(job);
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value = NULL, text = NULL, code = NULL;
  if (status == napi_ok && job->status == ESP_OK) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, job->deferred, value);
  } else {
    napi_create_string_utf8(env, status == napi_ok ? job->message : "cancelled", NAPI_AUTO_LENGTH, &text);
    napi_create_string_utf8(env, status_codes[job->status], NAPI_AUTO_LENGTH, &code);
    napi_create_error(env, code, text, &value);
    napi_reject_deferred(env, job->deferred, value);
  }
  napi_delete_reference(env, job->request);
  napi_delete_async_work(env, job->work);
  free_job(job);
}

static napi_value start(napi_env env, Job *job, napi_value request) {
  napi_value promise, name;
  if (napi_create_string_utf8(env, "espalier", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_reference(env, request, 1, &job->request) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok ||
      napi_create_promise(env, &job->deferred, &promise) != napi_ok || napi_queue_async_work(env, job->work) != napi_ok) {
    free_job(job); /* a failure here is a lack of memory: what was made before it is lost with the process */
    return fail(env, "internal: no memory for a job");
  }
  return promise;
}

/* ({matrix, first, rows, bytes}) -> Promise */
static napi_value fill_matrix(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  int32_t first, rows;
  void *bytes;
  if (!arguments(env, info, 1, &request)) return NULL;
  Box *box = NULL;
  if (!property(env, request, "matrix", &value, &given) || !(box = unbox(env, value, BOX_MATRIX))) return NULL;
  Job *job = calloc(1, sizeof *job);
  if (!job) return fail(env, "internal: no memory for a job");
  job->held[job->held_count++] = hold(box);
  EspMatrix *matrix = box->handle;
  if (!int_property(env, request, "first", &first) || !int_property(env, request, "rows", &rows) || rows < 0 ||
      rows > matrix->rows ||
      !array_property(env, request, "bytes", napi_uint8_array,
                      (size_t)rows * esp_matrix_row_bytes(matrix->source, matrix->cols), false, &bytes)) {
    free_job(job);
    return fail(env, "internal: rows outside the matrix");
  }
  job->kind = JOB_FILL;
  job->matrix = matrix;
  job->first = first;
  job->rows = rows;
  job->bytes = bytes;
  return start(env, job, request);
}

/* ({tokens, alphabet, suffixes, abort?}) -> Promise; rejects with code "aborted", "invalid" or "no-memory" */
static napi_value sort_suffixes(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  size_t length = 0;
  void *tokens, *suffixes, *abort;
  int32_t alphabet;
  if (!arguments(env, info, 1, &request) || !property(env, request, "tokens", &value, &given) ||
      !array_property(env, request, "tokens", napi_int32_array, 0, false, &tokens)) {
    return NULL;
  }
  CALL(env, napi_get_typedarray_info(env, value, NULL, &length, NULL, NULL, NULL));
  if (length >= INT32_MAX) return fail(env, "internal: too many suffixes");
  if (!array_property(env, request, "suffixes", napi_int32_array, length, false, &suffixes) ||
      !array_property(env, request, "abort", napi_int32_array, 1, true, &abort) ||
      !int_property(env, request, "alphabet", &alphabet)) {
    return NULL;
  }
  const int32_t *text = tokens, *order = suffixes;
  if (length > 0 && text < order + length && order < text + length) return fail(env, "internal: tokens and suffixes are one array");
  Job *job = calloc(1, sizeof *job);
  if (!job) return fail(env, "internal: no memory for a job");
  job->kind = JOB_SORT;
  job->sort = (EspSuffixSort){.tokens = tokens, .length = (int32_t)length, .alphabet = alphabet, .suffixes = suffixes, .abort = abort};
  return start(env, job, request);
}

/* The box of a handle that the job will work on alone; held until free_job. */
static Box *take(napi_env env, Job *job, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  if (!box) return NULL;
  bool own = false;
  for (int32_t i = 0; i < job->held_count; i++) own = own || job->held[i] == box;
  if (box->busy > 0 && !own) {
    fail(env, "internal: a pass runs on this handle");
    return NULL;
  }
  return job->held[job->held_count++] = hold(box);
}

/* ({cache, length}) -> Promise; rejects with code "no-memory" */
static napi_value prepare_cache(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  if (!arguments(env, info, 1, &request) || !property(env, request, "cache", &value, &given)) return NULL;
  Job *job = calloc(1, sizeof *job);
  if (!job) return fail(env, "internal: no memory for a job");
  job->kind = JOB_PREPARE;
  Box *box = take(env, job, value, BOX_CACHE);
  if (!box || !int_property(env, request, "length", &job->length)) {
    free_job(job);
    return NULL;
  }
  job->cache = box->handle;
  return start(env, job, request);
}

/* Of {seed, scale, reach, ahead?}, if there is one. */
static bool pick_property(napi_env env, napi_value tree, EspPick *pick) {
  napi_value value, ahead;
  bool given;
  double seed;
  if (!property(env, tree, "pick", &value, &given)) return false;
  if (!given) return true;
  if (!number_property(env, value, "seed", &seed) || !number_property(env, value, "scale", &pick->scale) ||
      !number_property(env, value, "reach", &pick->reach) || !property(env, value, "ahead", &ahead, &given) ||
      (given && !int_property(env, value, "ahead", &pick->ahead))) {
    return false;
  }
  pick->seed = seed >= 0 && seed <= UINT32_MAX ? (uint32_t)seed : 0;
  if (pick->seed == seed) return true;
  fail(env, "internal: a seed is no integer of 32 bits");
  return false;
}

static bool read_trees(napi_env env, napi_value list, int32_t count, Job *job, int64_t *rows) {
  for (int32_t t = 0; t < count; t++) {
    napi_value entry, value;
    bool given;
    void *tokens, *parents;
    EspTree *tree = &job->trees[t];
    Box *cache = NULL;
    if (napi_get_element(env, list, (uint32_t)t, &entry) != napi_ok || !property(env, entry, "cache", &value, &given) ||
        !(cache = take(env, job, value, BOX_CACHE)) || !int_property(env, entry, "size", &tree->size) ||
        !int_property(env, entry, "first", &tree->first) || !pick_property(env, entry, &tree->pick)) {
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

/*
 * The job of {stack, trees: [{cache, tokens, parents, size, first, pick?}], from, to, input?, fuse?, lastOnly, topK, ids?, tokens?,
 * logProbs?, picks?, logits?, taps?, hiddenOut?, more?, abort?, commit}; NULL with an exception pending.
 */
static Job *read_pass(napi_env env, napi_value request) {
  napi_value value, list;
  bool given;
  uint32_t count;
  Job *job = NULL;
  if (napi_get_named_property(env, request, "trees", &list) == napi_ok && napi_get_array_length(env, list, &count) == napi_ok &&
      count >= 1 && count <= ESP_MAX_TREES) job = calloc(1, sizeof *job + count * sizeof *job->trees);
  if (job) job->ids = malloc((size_t)count * 2 * ESP_MAX_NODES * sizeof *job->ids);
  if (!job || !job->ids) {
    free(job);
    fail(env, "internal: a pass takes 1 to 64 trees, and memory");
    return NULL;
  }
  Box *box = NULL;
  if (napi_get_named_property(env, request, "stack", &value) == napi_ok) box = take(env, job, value, BOX_STACK);
  if (!box) {
    free_job(job);
    return NULL;
  }
  EspStack *stack = box->handle;
  job->kind = JOB_FORWARD;
  job->stack = stack;
  EspPass *pass = &job->pass;
  pass->trees = job->trees;
  pass->tree_count = (int32_t)count;
  int64_t rows = 0;
  void *input, *tokens, *log_probs, *picks, *logits, *taps = NULL, *hidden = NULL, *more = NULL, *abort, *ids;
  const EspStackSpec *spec = esp_stack_spec(stack);
  const size_t width = (size_t)spec->hidden, vocab = (size_t)spec->vocab;
  bool ok = read_trees(env, list, pass->tree_count, job, &rows) &&
            int_property(env, request, "from", &pass->from) && int_property(env, request, "to", &pass->to) &&
            int_property(env, request, "topK", &pass->top_k) && pass->top_k >= 0 && pass->top_k <= ESP_MAX_TOP_K &&
            napi_get_named_property(env, request, "lastOnly", &value) == napi_ok &&
            napi_get_value_bool(env, value, &pass->last_only) == napi_ok &&
            napi_get_named_property(env, request, "commit", &value) == napi_ok &&
            napi_get_value_bool(env, value, &job->commit) == napi_ok && property(env, request, "fuse", &value, &given) &&
            (!given || napi_get_value_bool(env, value, &pass->fuse) == napi_ok);
  const size_t input_width = pass->fuse && spec->fuse ? (size_t)spec->fuse->cols : width;
  const size_t outputs = pass->last_only ? count : (size_t)rows, listed = outputs * (size_t)pass->top_k;
  ok = ok && array_property(env, request, "input", napi_float32_array, (size_t)rows * input_width, true, &input) &&
       array_property(env, request, "tokens", napi_int32_array, listed, listed == 0, &tokens) &&
       array_property(env, request, "logProbs", napi_float32_array, listed, listed == 0, &log_probs) &&
       array_property(env, request, "ids", napi_int32_array, vocab, true, &ids) &&
       array_property(env, request, "picks", napi_int32_array, outputs, true, &picks) &&
       array_property(env, request, "logits", napi_float32_array, outputs * vocab, true, &logits) &&
       array_property(env, request, "abort", napi_int32_array, 1, true, &abort) &&
       property(env, request, "taps", &value, &given);
  size_t tap_count = 0, more_count = 0;
  if (ok && given) {
    ok = napi_get_typedarray_info(env, value, NULL, &tap_count, NULL, NULL, NULL) == napi_ok && tap_count <= 1025 &&
         array_property(env, request, "taps", napi_int32_array, tap_count, false, &taps) &&
         array_property(env, request, "hiddenOut", napi_float32_array, tap_count * (size_t)rows * width, false, &hidden);
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
    free_job(job);
    fail(env, "internal: the request of a pass");
    return NULL;
  }
  pass->input = input;
  pass->top_tokens = tokens;
  pass->top_log_probs = log_probs;
  pass->picks = picks;
  pass->ids = ids;
  pass->logits = logits;
  pass->abort = abort;
  return job;
}

/* (a pass) -> Promise; rejects with code "aborted", "invalid", "full" or "no-memory" */
static napi_value forward(napi_env env, napi_callback_info info) {
  napi_value request;
  if (!arguments(env, info, 1, &request)) return NULL;
  Job *job = read_pass(env, request);
  return job ? start(env, job, request) : NULL;
}

/* (a pass) -> nothing, when it is done; throws with such a code. For passes that are shorter than a way to another thread. */
static napi_value forward_now(napi_env env, napi_callback_info info) {
  napi_value request;
  if (!arguments(env, info, 1, &request)) return NULL;
  Job *job = read_pass(env, request);
  if (!job) return NULL;
  execute(env, job);
  if (job->status != ESP_OK) napi_throw_error(env, status_codes[job->status], job->message);
  free_job(job);
  return NULL;
}

/* ({matrix, bias, input, output}): output = silu(matrix * input + bias), on this thread */
static napi_value dense(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  Box *box;
  void *bias, *input, *output;
  if (!arguments(env, info, 1, &request) || !property(env, request, "matrix", &value, &given) ||
      !(box = unbox(env, value, BOX_MATRIX))) {
    return NULL;
  }
  const EspMatrix *matrix = box->handle;
  if (!array_property(env, request, "bias", napi_float32_array, (size_t)matrix->rows, false, &bias) ||
      !array_property(env, request, "input", napi_float32_array, (size_t)matrix->cols, false, &input) ||
      !array_property(env, request, "output", napi_float32_array, (size_t)matrix->rows, false, &output)) {
    return NULL;
  }
  return esp_dense(matrix, bias, input, output) ? NULL : fail(env, "no memory for a layer");
}

NAPI_MODULE_INIT(/* env, exports */) {
  const struct { const char *name; napi_callback call; } functions[] = {
      {"isas", isas},
      {"currentIsa", current_isa},
      {"selectIsa", select_isa},
      {"release", release},
      {"createPool", create_pool},
      {"matrixBytes", matrix_bytes},
      {"createArena", create_arena},
      {"createMatrix", create_matrix},
      {"fillMatrix", fill_matrix},
      {"gatheredBytes", gathered_bytes},
      {"gatherMatrix", gather_matrix},
      {"dense", dense},
      {"sortSuffixes", sort_suffixes},
      {"openStore", open_store},
      {"matchStore", match_store},
      {"createStack", create_stack},
      {"createCache", create_cache},
      {"cacheLength", cache_length},
      {"cacheCommit", cache_commit},
      {"cacheArrange", cache_arrange},
      {"cacheRollback", cache_rollback},
      {"cacheTruncate", cache_truncate},
      {"cacheBytes", cache_bytes},
      {"memoryBytes", memory_bytes},
      {"cacheCopy", cache_copy},
      {"cacheFill", cache_fill},
      {"prepareCache", prepare_cache},
      {"forward", forward},
      {"forwardNow", forward_now},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    napi_value function;
    CALL(env, napi_create_function(env, functions[i].name, NAPI_AUTO_LENGTH, functions[i].call, NULL, &function));
    CALL(env, napi_set_named_property(env, exports, functions[i].name, function));
  }
  return exports;
}
