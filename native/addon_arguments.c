/* addon_arguments.c - what comes from JavaScript, read and checked: an exception where it is something else. */
#include "addon.h"

#include <stdio.h>

napi_value fail(napi_env env, const char *message) {
  bool pending = false;
  napi_is_exception_pending(env, &pending);
  if (!pending) napi_throw_error(env, NULL, message);
  return NULL;
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

bool get_number(napi_env env, napi_value value, double *result) {
  if (napi_get_value_double(env, value, result) == napi_ok) return true;
  fail(env, "internal: a number is missing");
  return false;
}

bool is_given(napi_env env, napi_value value, bool *given) {
  napi_valuetype type;
  if (napi_typeof(env, value, &type) != napi_ok) return false;
  *given = type != napi_undefined && type != napi_null;
  return true;
}

bool property(napi_env env, napi_value object, const char *name, napi_value *value, bool *given) {
  if (napi_get_named_property(env, object, name, value) == napi_ok && is_given(env, *value, given)) return true;
  fail(env, "internal: no such property");
  return false;
}

bool list_values(napi_env env, napi_value list, uint32_t count, napi_value *values) {
  uint32_t length;
  bool ok = napi_get_array_length(env, list, &length) == napi_ok && length >= count;
  for (uint32_t i = 0; ok && i < count; i++) ok = napi_get_element(env, list, i, &values[i]) == napi_ok;
  if (!ok) fail(env, "internal: no such list");
  return ok;
}

bool bool_value(napi_env env, napi_value value, bool *result) {
  if (napi_get_value_bool(env, value, result) == napi_ok) return true;
  fail(env, "internal: a flag is missing");
  return false;
}

bool int_property(napi_env env, napi_value object, const char *name, int32_t *result) {
  napi_value value;
  bool given;
  return property(env, object, name, &value, &given) && get_int(env, value, result);
}

bool number_property(napi_env env, napi_value object, const char *name, double *result) {
  napi_value value;
  bool given;
  return property(env, object, name, &value, &given) && get_number(env, value, result);
}

bool array_value(napi_env env, napi_value value, const char *name, napi_typedarray_type type, size_t count, bool optional, void **data) {
  bool given, is_array = false;
  *data = NULL;
  if (!is_given(env, value, &given)) return false;
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

bool array_property(napi_env env, napi_value object, const char *name, napi_typedarray_type type, size_t count, bool optional,
                    void **data) {
  napi_value value;
  bool given;
  return property(env, object, name, &value, &given) && array_value(env, value, name, type, count, optional, data);
}

napi_value boolean(napi_env env, bool value) {
  napi_value result = NULL;
  napi_get_boolean(env, value, &result);
  return result;
}

napi_value integer(napi_env env, int32_t value) {
  napi_value result = NULL;
  napi_create_int32(env, value, &result);
  return result;
}
