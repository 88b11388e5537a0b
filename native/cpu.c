/*
 * cpu.c - asks the CPU itself on x64, where compilers differ in the names that they know, and the system on arm64, where only
 * it may ask. Bit numbers are those of Intel's manual (CPUID, XGETBV) and of each system's headers.
 */
#include "cpu.h"

#if defined(__x86_64__) || defined(_M_X64)
#include <cpuid.h>

typedef struct {
  unsigned a, b, c, d;
} Leaf;

static Leaf leaf(unsigned number, unsigned part) {
  Leaf to = {0};
  if (!__get_cpuid_count(number, part, &to.a, &to.b, &to.c, &to.d)) return (Leaf){0};
  return to;
}

static bool has(unsigned bits, int bit) { return bits >> bit & 1; }

/* Does the system save the registers of these bits of XCR0? */
static bool saved(unsigned registers) {
  if (!has(leaf(1, 0).c, 27)) return false; /* OSXSAVE: there is an XCR0 to read */
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & registers) == registers;
}
enum { AVX_REGISTERS = 1 << 1 | 1 << 2, AVX512_REGISTERS = AVX_REGISTERS | 1 << 5 | 1 << 6 | 1 << 7 };

bool esp_cpu_has_avx2(void) {
  const unsigned c = leaf(1, 0).c;
  return has(c, 12) /* FMA */ && has(c, 29) /* F16C */ && has(leaf(7, 0).b, 5) && saved(AVX_REGISTERS);
}

bool esp_cpu_has_avxvnni(void) { return esp_cpu_has_avx2() && has(leaf(7, 1).a, 4); }

bool esp_cpu_has_avx512vnni(void) {
  const Leaf extended = leaf(7, 0);
  const bool f = has(extended.b, 16), dq = has(extended.b, 17), bw = has(extended.b, 30), vl = has(extended.b, 31);
  return esp_cpu_has_avx2() && f && dq && bw && vl && has(extended.c, 11) && saved(AVX512_REGISTERS);
}

bool esp_cpu_reads_late(void) {
  const Leaf maker = leaf(0, 0);
  const unsigned version = leaf(1, 0).a, family = (version >> 8 & 15) + (version >> 20 & 255);
  const bool amd = maker.b == 0x68747541 && maker.d == 0x69746e65 && maker.c == 0x444d4163; /* "AuthenticAMD" */
  return amd && family == 0x1a;
}

#elif defined(__aarch64__) || defined(_M_ARM64)
#if defined(__linux__)
#include <sys/auxv.h>

bool esp_cpu_has_dotprod(void) { return getauxval(AT_HWCAP) >> 20 & 1; } /* HWCAP_ASIMDDP */

#elif defined(__APPLE__)
#include <sys/sysctl.h>

bool esp_cpu_has_dotprod(void) {
  int has = 0;
  size_t size = sizeof has;
  return sysctlbyname("hw.optional.arm.FEAT_DotProd", &has, &size, 0, 0) == 0 && has;
}

#elif defined(_WIN32)
#include <windows.h>

bool esp_cpu_has_dotprod(void) { return IsProcessorFeaturePresent(43); } /* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE */

#else
bool esp_cpu_has_dotprod(void) { return false; }
#endif
#endif
