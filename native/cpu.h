/* cpu.h - which instruction sets this CPU has and this system keeps the registers of. */
#ifndef ESP_CPU_H
#define ESP_CPU_H

#include <stdbool.h>

bool esp_cpu_has_avx2(void); /* with FMA and F16C, as every CPU with AVX2 in it */
bool esp_cpu_has_avxvnni(void);
bool esp_cpu_has_avx512vnni(void); /* with F, BW, VL and DQ */
bool esp_cpu_reads_late(void); /* x64: fetches streams of memory too late by itself, as AMD's Zen 5 does */
bool esp_cpu_has_dotprod(void); /* NEON with dot products of int8 */

#endif
