/* addon_store.c - datastores for Node: suffixes sorted as a job; stores opened by path, asked on the JavaScript thread. */
#include "addon_jobs.h"
#include "store.h"
#include "suffixes.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
  Job base;
  EspSuffixSort sort;
} Sort;

static void sort(Job *job) {
  job->status = esp_suffix_sort(&((Sort *)job)->sort);
  job->message = job->status == ESP_INVALID ? "tokens outside the alphabet" : "suffixes cannot be sorted";
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
  Sort *job = (Sort *)new_job(env, sizeof *job, sort);
  if (!job) return NULL;
  job->sort = (EspSuffixSort){.tokens = tokens, .length = (int32_t)length, .alphabet = alphabet, .suffixes = suffixes, .abort = abort};
  return start_job(env, &job->base, request);
}

static bool size_property(napi_env env, napi_value object, const char *name, uint64_t *result) {
  napi_value value;
  bool given;
  double number;
  if (!property(env, object, name, &value, &given)) return false;
  if (napi_get_value_double(env, value, &number) == napi_ok && number >= 0 && number < 9e15) {
    *result = (uint64_t)number;
    return true;
  }
  fail(env, "internal: a size is missing or out of range");
  return false;
}

/* The characters of a string, to be freed; NULL: an exception is pending. */
static char *text_property(napi_env env, napi_value object, const char *name) {
  napi_value value;
  bool given;
  size_t length = 0;
  char *text = NULL;
  if (!property(env, object, name, &value, &given)) return NULL;
  if (napi_get_value_string_utf8(env, value, NULL, 0, &length) == napi_ok) text = malloc(length + 1);
  if (text && napi_get_value_string_utf8(env, value, text, length + 1, NULL) == napi_ok && strlen(text) == length) return text;
  free(text);
  fail(env, "internal: a text is missing, or has a zero inside");
  return NULL;
}

/* ({path, bytes, tokensAt, suffixesAt, count, width, vocab}) -> store; throws with code "invalid" or "no-memory" */
static napi_value open_store(napi_env env, napi_callback_info info) {
  napi_value request;
  EspStoreLayout layout;
  EspStore *store = NULL;
  if (!arguments(env, info, 1, &request) || !size_property(env, request, "bytes", &layout.bytes) ||
      !size_property(env, request, "tokensAt", &layout.tokens_at) || !size_property(env, request, "suffixesAt", &layout.suffixes_at) ||
      !int_property(env, request, "count", &layout.count) || !int_property(env, request, "width", &layout.width) ||
      !int_property(env, request, "vocab", &layout.vocab)) {
    return NULL;
  }
  char *path = text_property(env, request, "path");
  if (!path) return NULL;
  const EspStatus status = esp_store_open(path, &layout, &store);
  free(path);
  if (status == ESP_OK) return wrap(env, BOX_STORE, store, NULL, 0);
  napi_throw_error(env, status_codes[status], "the store cannot be mapped");
  return NULL;
}

/* The elements of an Int32Array, and how many there are; NULL: an exception is pending. */
static int32_t *elements(napi_env env, napi_value value, size_t *length) {
  bool is_array = false;
  napi_typedarray_type type;
  void *data = NULL;
  if (napi_is_typedarray(env, value, &is_array) == napi_ok && is_array &&
      napi_get_typedarray_info(env, value, &type, length, &data, NULL, NULL) == napi_ok && type == napi_int32_array && *length > 0) {
    return data;
  }
  fail(env, "internal: not an Int32Array with elements");
  return NULL;
}

/*
 * (store, context, limits: [longest, shortest, places, depth, nodes], found: 3 + 3 * nodes) -> a status. found = [matched, hits, size, size tokens,
 * size parents, size counts].
 */
static napi_value match_store(napi_env env, napi_callback_info info) {
  napi_value values[4];
  size_t length, limit_count, room;
  EspStore *store;
  int32_t *context, *limit, *out;
  if (!arguments(env, info, 4, values) || !(store = unwrap(env, values[0], BOX_STORE)) ||
      !(context = elements(env, values[1], &length)) || !(limit = elements(env, values[2], &limit_count)) ||
      !(out = elements(env, values[3], &room))) {
    return NULL;
  }
  if (length > INT32_MAX || limit_count != 5) return fail(env, "internal: the arrays of a query");
  const EspStoreLimits limits = {limit[0], limit[1], limit[2], limit[3], limit[4]};
  EspFound found;
  const EspStatus status = esp_store_match(store, context, (int32_t)length, &limits, &found);
  if (status != ESP_OK) return integer(env, status);
  const size_t size = (size_t)found.size;
  if (room < 3 + 3 * size) return fail(env, "internal: no room for what was found");
  out[0] = found.matched;
  out[1] = found.hits;
  out[2] = found.size;
  memcpy(out + 3, found.tokens, size * sizeof *out);
  memcpy(out + 3 + size, found.parents, size * sizeof *out);
  memcpy(out + 3 + 2 * size, found.counts, size * sizeof *out);
  return integer(env, status);
}

const Function store_functions[] = {
    {"sortSuffixes", sort_suffixes},
    {"openStore", open_store},
    {"matchStore", match_store},
    {NULL, NULL},
};
