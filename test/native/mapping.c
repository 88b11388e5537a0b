/* mapping.c - a mapped file loses its pages while it is read: a test of native/mapping.c that the time of a query is too short for. */
#define _DEFAULT_SOURCE
#include "mapping.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BYTES = 1 << 20 };

static volatile int sum, seen_by_other;

static void read_all(void *context) {
  const uint8_t *bytes = context;
  for (int i = 0; i < BYTES; i += 512) sum += bytes[i];
}

static void other_handler(int signal) {
  (void)signal;
  seen_by_other = 1;
}

static void check(bool right, const char *what) {
  if (right) return;
  fprintf(stderr, "not so: %s\n", what);
  exit(1);
}

int main(int count, char **arguments) {
  check(count == 2, "one argument, the path of a file of 1 MiB");
  const char *path = arguments[1];
  /* What was there before goes on to see what is not ours. */
  signal(SIGBUS, other_handler);
  EspMapping *mapping;
  check(esp_map(path, BYTES + 1, &mapping) == ESP_INVALID, "a file of another size is refused");
  check(esp_map("/", 4096, &mapping) == ESP_INVALID, "a folder is refused");
  check(esp_map(path, BYTES, &mapping) == ESP_OK, "the file is mapped");
  void *bytes = (void *)(uintptr_t)esp_mapped_bytes(mapping);
  check(esp_map_guarded(read_all, bytes), "all can be read");
  check(sum > 0, "it was read");
  check(esp_map_unchanged(mapping), "nothing has changed");
  check(truncate(path, 5000) == 0, "the file is shortened");
  for (int round = 0; round < 3; round++) check(!esp_map_guarded(read_all, bytes), "its pages are gone");
  check(!esp_map_unchanged(mapping), "that is a change");
  check(!seen_by_other, "the other handler saw nothing of it");
  raise(SIGBUS);
  check(seen_by_other, "the other handler sees what is not ours");
  signal(SIGBUS, SIG_DFL);
  esp_unmap(mapping);
  return 0;
}
