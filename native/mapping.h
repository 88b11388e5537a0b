/*
 * mapping.h - a file as memory, to be read only. The file stays as it is by agreement alone: on POSIX others may still write or shorten
 * it, and reading a page that is gone ends a process. So it is looked at again before each use, and what reads the bytes runs
 * guarded. On Windows a file cannot be written while it is mapped here.
 */
#ifndef ESP_MAPPING_H
#define ESP_MAPPING_H

#include "espalier.h"

typedef struct EspMapping EspMapping;

/* `path` is UTF-8. ESP_INVALID: it cannot be opened, or has not so many bytes; ESP_NO_MEMORY: it cannot be mapped. */
EspStatus esp_map(const char *path, uint64_t bytes, EspMapping **mapping);
void esp_unmap(EspMapping *mapping);
const uint8_t *esp_mapped_bytes(const EspMapping *mapping);
/* False: the file has been written or shortened since. */
bool esp_map_unchanged(const EspMapping *mapping);
/* Runs body(context), which may read mappings and must own nothing that it would have to free. False: a page could not be read, and it was left. */
bool esp_map_guarded(void (*body)(void *context), void *context);

#endif
