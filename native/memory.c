/* memory.c - large blocks of memory, in large pages: with small ones, looking up addresses costs as much as reading. */
#define _DEFAULT_SOURCE
#define ESP_MEMORY_C
#include "memory.h"

#include <stdint.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <sys/mman.h>
#endif

void *esp_alloc(size_t bytes) {
  const size_t large_page = (size_t)2 << 20, line = 64;
  if (bytes > SIZE_MAX / 2) return NULL;
  const size_t unit = bytes >= large_page ? large_page : line;
  const size_t size = bytes ? (bytes + unit - 1) / unit * unit : unit;
#if defined(_WIN32)
  void *memory = _aligned_malloc(size, unit);
#else
  void *memory = aligned_alloc(unit, size);
#endif
  if (!memory) return NULL;
#if defined(__linux__)
  if (unit == large_page) madvise(memory, size, MADV_HUGEPAGE); /* advice: nothing is lost when it is not taken */
#endif
  return memset(memory, 0, size);
}

void esp_free(void *memory) {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  free(memory);
#endif
}
