/*
 * node_windows.c - Node-API on Windows, where a library names the program that its imports come from. Ours are looked up in
 * whichever program loads it: node.exe under any name, or one with Node inside. The compiler calls an imported
 * function f through the pointer __imp_f; here are these pointers.
 */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>

/* All that the addon calls; the linker names one that is missing. */
#define FUNCTIONS(X) \
  X(napi_create_array) X(napi_create_async_work) X(napi_create_double) X(napi_create_error) \
  X(napi_create_external) X(napi_create_function) X(napi_create_int32) X(napi_create_object) \
  X(napi_create_promise) X(napi_create_reference) X(napi_create_string_utf8) X(napi_delete_async_work) \
  X(napi_delete_reference) X(napi_get_array_length) X(napi_get_boolean) X(napi_get_cb_info) \
  X(napi_get_element) X(napi_get_named_property) X(napi_get_null) X(napi_get_typedarray_info) \
  X(napi_get_undefined) X(napi_get_value_bool) X(napi_get_value_double) X(napi_get_value_external) \
  X(napi_get_value_string_utf8) X(napi_is_exception_pending) X(napi_is_typedarray) X(napi_queue_async_work) \
  X(napi_reject_deferred) X(napi_resolve_deferred) X(napi_set_element) X(napi_set_named_property) \
  X(napi_throw_error) X(napi_typeof)

#define POINTER(name) FARPROC __imp_##name;
FUNCTIONS(POINTER)

#define ENTRY(name) {#name, &__imp_##name},
static const struct { const char *name; FARPROC *pointer; } functions[] = {FUNCTIONS(ENTRY)};

/* Windows calls it when the library is loaded; FALSE refuses. */
BOOL WINAPI DllMain(HINSTANCE library, DWORD reason, LPVOID reserved) {
  (void)library, (void)reserved;
  if (reason != DLL_PROCESS_ATTACH) return TRUE;
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    *functions[i].pointer = GetProcAddress(GetModuleHandleW(NULL), functions[i].name);
    if (!*functions[i].pointer) return FALSE;
  }
  return TRUE;
}
#endif
