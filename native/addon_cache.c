/* addon_cache.c - caches for Node. No job may run on one that is changed. */
#include "addon_jobs.h"

/* (stack, capacity, fixed) -> cache or null */
static napi_value create_cache(napi_env env, napi_callback_info info) {
  napi_value values[3];
  int32_t capacity;
  bool fixed;
  EspStack *stack;
  if (!arguments(env, info, 3, values) || !(stack = unwrap(env, values[0], BOX_STACK)) ||
      !get_int(env, values[1], &capacity)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[2], &fixed));
  return wrap(env, BOX_CACHE, esp_cache_create(stack, capacity, fixed), NULL, 0);
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

typedef struct {
  Job base;
  EspCache *cache;
  int32_t length;
} Prepare;

static void prepare(Job *job) {
  const Prepare *self = (const Prepare *)job;
  job->status = esp_cache_prepare(self->cache, self->length) ? ESP_OK : ESP_NO_MEMORY;
  job->message = "the text is longer than the cache, or there is no memory";
}

/* ({cache, length}) -> Promise; rejects with code "no-memory" */
static napi_value prepare_cache(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  if (!arguments(env, info, 1, &request) || !property(env, request, "cache", &value, &given)) return NULL;
  Prepare *job = (Prepare *)new_job(env, sizeof *job, prepare);
  if (!job) return NULL;
  Box *box = take(env, &job->base, value, BOX_CACHE);
  if (!box || !int_property(env, request, "length", &job->length)) {
    free_job(&job->base);
    return NULL;
  }
  job->cache = box->handle;
  return start_job(env, &job->base, request);
}

const Function cache_functions[] = {
    {"createCache", create_cache},
    {"cacheLength", cache_length},
    {"cacheCommit", cache_commit},
    {"cacheArrange", cache_arrange},
    {"cacheRollback", cache_rollback},
    {"cacheTruncate", cache_truncate},
    {"cacheBytes", cache_bytes},
    {"cacheCopy", cache_copy},
    {"cacheFill", cache_fill},
    {"prepareCache", prepare_cache},
    {NULL, NULL},
};
