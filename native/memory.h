/* memory.h - the memory of the engine. All of it comes from here, so that there is one way to free it. */
#ifndef ESP_MEMORY_H
#define ESP_MEMORY_H

#include <stdlib.h>

/* Zeroed, aligned to 64 bytes, in large pages where that fits and the system has them. NULL: no memory. */
void *esp_alloc(size_t bytes);
void esp_free(void *memory);

#ifndef ESP_MEMORY_C /* Windows frees aligned memory by a function of its own: a mix-up would show only there */
#pragma GCC poison malloc calloc realloc aligned_alloc free
#endif

#endif
