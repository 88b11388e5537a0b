/* dispatch.c - which instruction set is used: the best this CPU has, or the one asked for. */
#include "cpu.h"
#include "kernels.h"

#include <string.h>

static const EspKernels *const tables[] = {
#if defined(__x86_64__) || defined(_M_X64)
    &esp_kernels_avx512vnni,
    &esp_kernels_avxvnni,
    &esp_kernels_avx2,
#elif defined(__aarch64__) || defined(_M_ARM64)
    &esp_kernels_dotprod,
#endif
    &esp_kernels_generic,
};
enum { TABLES = sizeof tables / sizeof *tables };

static const EspKernels *selected;
bool esp_asks_ahead;

static void use(const EspKernels *table) {
  selected = table;
#if defined(__x86_64__) || defined(_M_X64)
  esp_asks_ahead = esp_cpu_reads_late();
#endif
}

int esp_isa_count(void) { return TABLES; }
const char *esp_isa_name(int index) { return index >= 0 && index < TABLES ? tables[index]->name : NULL; }
bool esp_isa_usable(int index) { return index >= 0 && index < TABLES && tables[index]->usable(); }

bool esp_isa_select(const char *name) {
  for (int i = 0; i < TABLES; i++) {
    if (strcmp(tables[i]->name, name) == 0 && tables[i]->usable()) {
      use(tables[i]);
      return true;
    }
  }
  return false;
}

const EspKernels *esp_kernels(void) {
  for (int i = 0; !selected; i++) {
    if (tables[i]->usable()) use(tables[i]);
  }
  return selected;
}

const char *esp_isa_current(void) { return esp_kernels()->name; }
