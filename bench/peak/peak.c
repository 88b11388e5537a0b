/*
 * peak.c - how many multiplications and additions of 8-bit integers this machine does a second, and how many the engine's products
 * do with 8 rows of input. The peak is of the best dot product instruction that an instruction set has, on registers alone, with the
 * additions that sums need. Prints lines of instruction set, kind, 10^9 operations a second and median share of the peak in percent.
 *
 *   peak THREADS ROUNDS
 */
#define _POSIX_C_SOURCE 200809L
#include "kernels.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The matrix is read REPEATS times in a row, or starting threads would count as products. */
enum { TILE_ROWS = 8, ROWS = 4864, COLS = 1024, REPEATS = 16, MOST_ROUNDS = 101, ACCUMULATORS = 12 };

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* ---- peaks: `count` rounds of ACCUMULATORS instructions; the result keeps them from being left out ------------------ */

#define SUM_UP(type)                                                                                                  \
  int64_t total = 0;                                                                                                  \
  for (int i = 0; i < ACCUMULATORS; i++) {                                                                            \
    int32_t parts[sizeof(type) / 4];                                                                                  \
    memcpy(parts, &sum[i], sizeof parts);                                                                             \
    for (size_t j = 0; j < sizeof(type) / 4; j++) total += parts[j];                                                  \
  }                                                                                                                   \
  return total

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx512f,avx512bw,avx512vnni"))) static int64_t peak_avx512vnni(int64_t count) {
  __m512i sum[ACCUMULATORS], w = _mm512_set1_epi8(3), x = _mm512_set1_epi8(1);
  for (int i = 0; i < ACCUMULATORS; i++) sum[i] = _mm512_setzero_si512();
  while (count-- > 0) {
    __asm__ volatile("" : "+v"(w), "+v"(x));
    _Pragma("GCC unroll 12") for (int i = 0; i < ACCUMULATORS; i++) sum[i] = _mm512_dpbusd_epi32(sum[i], w, x);
  }
  SUM_UP(__m512i);
}

__attribute__((target("avx2"))) static int64_t peak_avx2(int64_t count) {
  __m256i sum[ACCUMULATORS], w = _mm256_set1_epi8(3), x = _mm256_set1_epi8(1);
  for (int i = 0; i < ACCUMULATORS; i++) sum[i] = _mm256_setzero_si256();
  while (count-- > 0) {
    _Pragma("GCC unroll 12") for (int i = 0; i < ACCUMULATORS; i++) {
      __asm__ volatile("" : "+x"(w), "+x"(x)); /* or one product would serve all */
      sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(w, x));
    }
  }
  SUM_UP(__m256i);
}

#if (defined(__clang__) && __clang_major__ >= 12) || (!defined(__clang__) && __GNUC__ >= 11)
#define HAS_AVXVNNI
__attribute__((target("avx2,avxvnni"))) static int64_t peak_avxvnni(int64_t count) {
  __m256i sum[ACCUMULATORS], w = _mm256_set1_epi8(3), x = _mm256_set1_epi8(1);
  for (int i = 0; i < ACCUMULATORS; i++) sum[i] = _mm256_setzero_si256();
  while (count-- > 0) {
    __asm__ volatile("" : "+x"(w), "+x"(x));
    _Pragma("GCC unroll 12") for (int i = 0; i < ACCUMULATORS; i++) sum[i] = _mm256_dpbusd_avx_epi32(sum[i], w, x);
  }
  SUM_UP(__m256i);
}
#endif
#elif defined(__aarch64__)
#include <arm_neon.h>

__attribute__((target("arch=armv8.2-a+dotprod"))) static int64_t peak_dotprod(int64_t count) {
  int32x4_t sum[ACCUMULATORS];
  int8x16_t w = vdupq_n_s8(3), x = vdupq_n_s8(1);
  for (int i = 0; i < ACCUMULATORS; i++) sum[i] = vdupq_n_s32(0);
  while (count-- > 0) {
    __asm__ volatile("" : "+w"(w), "+w"(x));
    _Pragma("GCC unroll 12") for (int i = 0; i < ACCUMULATORS; i++) sum[i] = vdotq_s32(sum[i], w, x);
  }
  SUM_UP(int32x4_t);
}
#endif

typedef struct {
  const char *isa;
  int64_t (*run)(int64_t count);
  int bytes; /* of an instruction's operand: so many multiplications and as many additions */
} Peak;

static const Peak peaks[] = {
#if defined(__x86_64__)
    {"avx512vnni", peak_avx512vnni, 64},
#ifdef HAS_AVXVNNI
    {"avxvnni", peak_avxvnni, 32},
#endif
    {"avx2", peak_avx2, 32},
#elif defined(__aarch64__)
    {"dotprod", peak_dotprod, 16},
#endif
};

/* ---- products ----------------------------------------------------------------------------------------------------- */

static void *room(size_t bytes) {
  void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
  if (!memory) exit(1);
  return memset(memory, 0, bytes);
}

static EspActivations inputs(const EspKernels *kernels) {
  const size_t blocks = (size_t)TILE_ROWS * COLS / ESP_BLOCK;
  EspActivations x = {.rows = TILE_ROWS, .blocks = COLS / ESP_BLOCK};
  x.quants = room(blocks * ESP_BLOCK);
  x.scales = room(blocks * sizeof(float));
  x.masses = room(blocks * sizeof(float));
  x.starts4 = room(blocks * sizeof(int32_t));
  x.starts5 = room(blocks * sizeof(int32_t));
  x.starts8 = room(blocks * sizeof(int32_t));
  x.starts6 = room(2 * blocks * sizeof(int32_t));
  float values[COLS];
  for (int row = 0; row < TILE_ROWS; row++) {
    for (int i = 0; i < COLS; i++) values[i] = (float)(rand() % 2001 - 1000);
    kernels->quantize(values, &x, row, 0, x.blocks);
  }
  return x;
}

static EspMatrix *weights(int32_t type) {
  EspArena *arena = esp_arena_create(esp_matrix_bytes(type, false, ROWS, COLS));
  EspMatrix *matrix = arena ? esp_matrix_create(arena, type, false, ROWS, COLS) : NULL;
  const size_t bytes = ROWS * esp_matrix_row_bytes(type, COLS);
  uint8_t *file = room(bytes);
  for (size_t i = 0; i < bytes; i++) file[i] = (uint8_t)(rand() & 63); /* halves stay finite */
  if (!matrix || !esp_matrix_fill(matrix, 0, ROWS, file)) exit(1);
  free(file);
  return matrix;
}

/* ---- threads ------------------------------------------------------------------------------------------------------ */

typedef struct {
  int thread, threads;
  const Peak *peak;
  int64_t count;
  const EspKernels *kernels; /* NULL: the peak */
  const EspMatrix *matrix;
  const EspActivations *x;
  float *out;
} Work;

static volatile int64_t sink;

static void *work(void *context) {
  const Work *w = context;
  if (!w->kernels) {
    sink += w->peak->run(w->count);
    return NULL;
  }
  const int32_t groups = w->matrix->groups;
  for (int repeat = 0; repeat < REPEATS; repeat++) {
    w->kernels->matmul(w->matrix, w->x, groups * w->thread / w->threads, groups * (w->thread + 1) / w->threads, w->out,
                       (size_t)groups * ESP_GROUP);
  }
  return NULL;
}

/* Seconds until all threads are done. */
static double timed(const Work *task, int threads) {
  pthread_t others[ESP_MAX_THREADS];
  Work works[ESP_MAX_THREADS];
  const double start = seconds();
  for (int i = threads - 1; i >= 0; i--) {
    works[i] = *task;
    works[i].thread = i;
    works[i].threads = threads;
    if (i > 0) pthread_create(&others[i], NULL, work, &works[i]);
  }
  work(&works[0]);
  for (int i = 1; i < threads; i++) pthread_join(others[i], NULL);
  return seconds() - start;
}

static int by_size(const void *a, const void *b) {
  const double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}
static double median(double *values, int count) {
  qsort(values, (size_t)count, sizeof *values, by_size);
  return values[count / 2];
}

int main(int argc, char **argv) {
  static const struct { int32_t type; const char *name; } kinds[] = {
      {ESP_GGUF_Q4_0, "Q4_0"}, {ESP_GGUF_Q4_1, "Q4_1"}, {ESP_GGUF_Q4_K, "Q4_K"}, {ESP_GGUF_Q5_0, "Q5_0"},
      {ESP_GGUF_Q6_K, "Q6_K"}, {ESP_GGUF_Q8_0, "Q8_0"},
  };
  const int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 25;
  if (threads < 1 || threads > ESP_MAX_THREADS || rounds < 1 || rounds > MOST_ROUNDS) return 2;
  float *out = room((size_t)TILE_ROWS * ROWS * sizeof *out);
  const double products = 2.0 * REPEATS * TILE_ROWS * ROWS * COLS;
  for (size_t p = 0; p < sizeof peaks / sizeof *peaks; p++) {
    if (!esp_isa_select(peaks[p].isa)) continue;
    const EspKernels *kernels = esp_kernels();
    const EspActivations x = inputs(kernels);
    const int64_t count = 1000000;
    const double operations = 2.0 * (double)count * ACCUMULATORS * peaks[p].bytes * threads;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
      const EspMatrix *matrix = weights(kinds[k].type);
      const Work peak = {.peak = &peaks[p], .count = count};
      const Work product = {.kernels = kernels, .matrix = matrix, .x = &x, .out = out};
      double rates[2][MOST_ROUNDS], shares[MOST_ROUNDS];
      for (int round = -1; round < rounds; round++) { /* one to warm up */
        const double best = operations / timed(&peak, threads) / 1e9, own = products / timed(&product, threads) / 1e9;
        if (round < 0) continue;
        rates[0][round] = best;
        rates[1][round] = own;
        shares[round] = 100 * own / best;
      }
      printf("%s\t%s\t%.0f\t%.0f\t%.0f\n", peaks[p].isa, kinds[k].name, median(rates[0], rounds), median(rates[1], rounds), median(shares, rounds));
      fflush(stdout);
    }
  }
  return 0;
}
