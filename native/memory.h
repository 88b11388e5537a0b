/* memory.h - large blocks of memory. */
#ifndef ESP_MEMORY_H
#define ESP_MEMORY_H

#include <stddef.h>

/* Zeroed, aligned to 64 bytes, in large pages where that fits and the system has them; to be given to free(). NULL: no memory. */
void *esp_large_alloc(size_t bytes);

#endif
