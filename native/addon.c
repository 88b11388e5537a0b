/*
 * addon.c - the engine for Node, through Node-API. Every handle is an External around a Box, which is refused once it
 * or what it rests on is freed, and is not freed while a job holds it. Sizes of all buffers are checked where they come in; buffers that are
 * written or long must stay as they are until a job is done.
 */
#include "addon.h"

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

/* ---- threads and memory ----------------------------------------------------------------------------------------- */

/* (threads) -> pool or null */
static napi_value create_pool(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t threads;
  if (!arguments(env, info, 1, &argument) || !get_int(env, argument, &threads)) return NULL;
  return wrap(env, BOX_POOL, esp_pool_create(threads), NULL, 0);
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

static const Function own_functions[] = {
    {"isas", isas},
    {"currentIsa", current_isa},
    {"selectIsa", select_isa},
    {"createPool", create_pool},
    {"memoryBytes", memory_bytes},
    {NULL, NULL},
};

NAPI_MODULE_INIT(/* env, exports */) {
  const Function *const lists[] = {own_functions,   handle_functions, weight_functions, stack_functions,
                                   cache_functions, pass_functions,   store_functions};
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    for (const Function *entry = lists[i]; entry->name; entry++) {
      napi_value function;
      CALL(env, napi_create_function(env, entry->name, NAPI_AUTO_LENGTH, entry->call, NULL, &function));
      CALL(env, napi_set_named_property(env, exports, entry->name, function));
    }
  }
  return exports;
}
