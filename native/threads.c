/*
 * threads.c - a pool whose threads run one body together and meet at barriers. A waiting thread spins briefly, then
 * gives its core away, so that other programs on the machine do not stall a pass. Counters only grow and are compared
 * by signed difference, so none is ever reset while somebody may still look at it.
 */
#define _POSIX_C_SOURCE 200809L
#include "espalier.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#if defined(__x86_64__) || defined(_M_X64)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ __volatile__("yield")
#else
#define RELAX() ((void)0)
#endif

enum { SPINS_AT_BARRIER = 400, SPINS_BETWEEN_RUNS = 400 };

struct EspPool {
  int threads;
  _Alignas(64) atomic_uint arrived; /* threads that have come to barriers, ever */
  _Alignas(64) atomic_uint run; /* runs begun */
  _Alignas(64) atomic_int sleepers;
  pthread_mutex_t mutex;
  pthread_cond_t wake;
  bool quit;
  void (*body)(void *, int);
  void *context;
  pthread_mutex_t one_run;
  unsigned passed; /* barriers passed in earlier runs, in units of threads */
  struct Worker {
    EspPool *pool;
    pthread_t thread;
    int index;
  } workers[ESP_MAX_THREADS];
};

/* Barriers this thread has passed, in units of threads; the same on every thread of a pool between two runs. */
static _Thread_local unsigned barriers;

void esp_barrier(EspPool *pool) {
  unsigned threads = (unsigned)pool->threads;
  if (threads == 1) return;
  barriers += threads;
  atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel);
  for (int spins = 0; (int)(atomic_load_explicit(&pool->arrived, memory_order_acquire) - barriers) < 0; spins++) {
    if (spins < SPINS_AT_BARRIER) RELAX();
    else sched_yield();
  }
}

static void *work(void *argument) {
  struct Worker *worker = argument;
  EspPool *pool = worker->pool;
  for (unsigned run = 1;; run++) {
    for (int spins = 0; (int)(atomic_load_explicit(&pool->run, memory_order_acquire) - run) < 0; spins++) {
      if (spins < SPINS_BETWEEN_RUNS) {
        RELAX();
        continue;
      }
      pthread_mutex_lock(&pool->mutex);
      atomic_fetch_add(&pool->sleepers, 1);
      while ((int)(atomic_load(&pool->run) - run) < 0) pthread_cond_wait(&pool->wake, &pool->mutex);
      atomic_fetch_sub(&pool->sleepers, 1);
      pthread_mutex_unlock(&pool->mutex);
    }
    if (pool->quit) return NULL;
    pool->body(pool->context, worker->index);
    esp_barrier(pool);
  }
}

static void begin(EspPool *pool) {
  atomic_fetch_add(&pool->run, 1);
  if (atomic_load(&pool->sleepers) > 0) {
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
  }
}

void esp_pool_run(EspPool *pool, void (*body)(void *, int), void *context) {
  if (pool->threads == 1) {
    body(context, 0);
    return;
  }
  pthread_mutex_lock(&pool->one_run);
  pool->body = body;
  pool->context = context;
  barriers = pool->passed; /* any thread may lead a run */
  begin(pool);
  body(context, 0);
  esp_barrier(pool);
  pool->passed = barriers;
  pthread_mutex_unlock(&pool->one_run);
}

EspPool *esp_pool_create(int threads) {
  if (threads < 1 || threads > ESP_MAX_THREADS) return NULL;
  EspPool *pool = aligned_alloc(64, (sizeof *pool + 63) / 64 * 64);
  if (!pool) return NULL;
  *pool = (EspPool){.threads = threads};
  pthread_mutex_init(&pool->mutex, NULL);
  pthread_mutex_init(&pool->one_run, NULL);
  pthread_cond_init(&pool->wake, NULL);
  for (int i = 1; i < threads; i++) {
    pool->workers[i] = (struct Worker){.pool = pool, .index = i};
    if (pthread_create(&pool->workers[i].thread, NULL, work, &pool->workers[i]) != 0) {
      pool->threads = i; /* those that began are the ones to end */
      esp_pool_free(pool);
      return NULL;
    }
  }
  return pool;
}

void esp_pool_free(EspPool *pool) {
  if (!pool) return;
  pool->quit = true;
  begin(pool);
  for (int i = 1; i < pool->threads; i++) pthread_join(pool->workers[i].thread, NULL);
  pthread_cond_destroy(&pool->wake);
  pthread_mutex_destroy(&pool->mutex);
  pthread_mutex_destroy(&pool->one_run);
  free(pool);
}

int esp_pool_threads(const EspPool *pool) { return pool->threads; }
