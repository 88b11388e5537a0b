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

typedef enum { BOX_POOL, BOX_ARENA, BOX_MATRIX, BOX_STACK, BOX_CACHE, BOX_STORE, BOX_ASIDE } BoxKind;

typedef struct Box {
  BoxKind kind;
  void *handle; /* NULL once freed */
  int32_t users; /* its External, boxes that rest on it, and jobs */
  int32_t busy; /* jobs that use the handle, or that of a box that rests on it */
  bool doomed; /* to be freed when it is no longer busy */
  int32_t base_count;
  struct Box *bases[]; /* what it rests on: a matrix on its arena, a stack on its pool and its matrices' arenas */
} Box;

/* ---- addon_handles.c -------------------------------------------------------------------------------------------- */

/* An External for `handle`, or null when it is NULL: no memory. It rests on `bases`. */
napi_value wrap(napi_env env, BoxKind kind, void *handle, Box *const *bases, int32_t base_count);
/* Neither the box nor what it rests on is freed. */
bool live(const Box *box);
/* The box, which is live, in an External of that kind; NULL: an exception is pending. */
Box *unbox(napi_env env, napi_value value, BoxKind kind);
/* The same, its handle alone. */
void *unwrap(napi_env env, napi_value value, BoxKind kind);
/* The same, for what no job may work on meanwhile. */
void *unwrap_idle(napi_env env, napi_value value, BoxKind kind);
/* Frees it now; nothing when it was. */
void free_handle(Box *box);
/* Keeps the handle of a box, and those it rests on, until let_go. */
Box *hold(Box *box);
void let_go(Box *box);

/* ---- addon_arguments.c ------------------------------------------------------------------------------------------ */

/* Throws, unless an exception is pending already; gives NULL. */
napi_value fail(napi_env env, const char *message);

/* These give false with an exception pending. */
bool arguments(napi_env env, napi_callback_info info, size_t count, napi_value *values);
bool get_int(napi_env env, napi_value value, int32_t *result);
bool get_number(napi_env env, napi_value value, double *result);
bool is_given(napi_env env, napi_value value, bool *given);
bool property(napi_env env, napi_value object, const char *name, napi_value *value, bool *given);
bool int_property(napi_env env, napi_value object, const char *name, int32_t *result);
bool number_property(napi_env env, napi_value object, const char *name, double *result);
/* The elements of a typed array that must have `count` of them; NULL when it is absent and `optional`. */
bool array_value(napi_env env, napi_value value, const char *name, napi_typedarray_type type, size_t count, bool optional, void **data);
bool array_property(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t count, bool optional,
                    void **data);

/* The first `count` elements of an array: a list of values is read several times as fast as an object with names. */
bool list_values(napi_env env, napi_value list, uint32_t count, napi_value *values);
bool bool_value(napi_env env, napi_value value, bool *result);

napi_value boolean(napi_env env, bool value);
napi_value integer(napi_env env, int32_t value);

/* ---- addon_pass.c ----------------------------------------------------------------------------------------------- */

typedef struct Aside Aside;
/* Waits for it. */
void free_aside(Aside *aside);

/* ---- what a file gives to JavaScript ---------------------------------------------------------------------------- */

typedef struct {
  const char *name; /* NULL ends a list */
  napi_callback call;
} Function;

extern const Function handle_functions[], weight_functions[], stack_functions[], cache_functions[], pass_functions[], store_functions[];

#endif
