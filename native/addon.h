/* addon.h - what the parts of the addon share: handles, arguments, and the way from a failed call to an exception. */
#ifndef ESP_ADDON_H
#define ESP_ADDON_H

#include <node_api.h>

#include "espalier.h"

/* Leaves the function with `undefined`, an exception pending, when a Node-API call fails. */
#define CALL(env, call)                                                                                               \
  do {                                                                                                                \
    if ((call) != napi_ok) return fail(env, "internal: " #call);                                                      \
  } while (0)

typedef enum { BOX_POOL, BOX_ARENA, BOX_MATRIX, BOX_STACK, BOX_CACHE, BOX_STORE } BoxKind;

typedef struct Box Box;

/* Throws, unless an exception is pending already; gives NULL. */
napi_value fail(napi_env env, const char *message);
/* An External for `handle`, or null when it is NULL: no memory. It rests on `bases`. */
napi_value wrap(napi_env env, BoxKind kind, void *handle, Box *const *bases, int32_t base_count);
/* The live handle in an External of that kind; NULL: an exception is pending. */
void *unwrap(napi_env env, napi_value value, BoxKind kind);

/* These give false with an exception pending. */
bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
bool get_int(napi_env env, napi_value value, int32_t *result);
bool property(napi_env env, napi_value object, const char *name, napi_value *value, bool *given);
bool int_property(napi_env env, napi_value object, const char *name, int32_t *result);
/* The elements of a typed array that must have `count` of them; NULL when it is absent and `optional`. */
bool array_property(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t count, bool optional,
                    void **data);

napi_value integer(napi_env env, int32_t value);

/* Of an EspStatus. */
extern const char *const status_codes[];

/* addon_store.c */
napi_value open_store(napi_env env, napi_callback_info info);
napi_value match_store(napi_env env, napi_callback_info info);

#endif
