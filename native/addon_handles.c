/* addon_handles.c - handles: Externals around boxes, which know what they rest on and which jobs use them. */
#include "addon.h"
#include "store.h"

#include <stdlib.h>

void free_handle(Box *box) {
  if (!box->handle) return;
  switch (box->kind) {
    case BOX_POOL: esp_pool_free(box->handle); break;
    case BOX_ARENA: esp_arena_free(box->handle); break;
    case BOX_MATRIX: break; /* lives in its arena */
    case BOX_STACK: esp_stack_free(box->handle); break;
    case BOX_CACHE: esp_cache_free(box->handle); break;
    case BOX_STORE: esp_store_close(box->handle); break;
    case BOX_ASIDE: free_aside(box->handle); break;
  }
  box->handle = NULL;
}

static void drop(Box *box) {
  if (--box->users > 0) return;
  for (int32_t i = 0; i < box->base_count; i++) drop(box->bases[i]);
  free(box);
}

Box *hold(Box *box) {
  box->users++;
  box->busy++;
  for (int32_t i = 0; i < box->base_count; i++) box->bases[i]->busy++;
  return box;
}

static void calm(Box *box) {
  if (--box->busy == 0 && box->doomed) free_handle(box);
}

void let_go(Box *box) {
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

bool live(const Box *box) {
  if (!box->handle) return false;
  for (int32_t i = 0; i < box->base_count; i++) {
    if (!box->bases[i]->handle) return false;
  }
  return true;
}

Box *unbox(napi_env env, napi_value value, BoxKind kind) {
  napi_valuetype type;
  Box *box = NULL;
  if (napi_typeof(env, value, &type) == napi_ok && type == napi_external) {
    napi_get_value_external(env, value, (void **)&box);
  }
  if (box && box->kind == kind && live(box)) return box;
  fail(env, "internal: not a live handle of this kind");
  return NULL;
}

void *unwrap_idle(napi_env env, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  if (!box || box->busy == 0) return box ? box->handle : NULL;
  fail(env, "internal: a pass runs on this handle");
  return NULL;
}

void *unwrap(napi_env env, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  return box ? box->handle : NULL;
}

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

const Function handle_functions[] = {
    {"release", release},
    {NULL, NULL},
};
