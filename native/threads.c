/*
 * threads.c - a pool whose threads run one body together and meet at barriers. Counters only grow and are compared by
 * signed difference, so none is ever reset while somebody may still look at it.
 *
 * Other programs may want the cores too. A thread that waits spins briefly and then gives its core away; but a barrier
 * still waits for whoever the system has put aside, often for milliseconds, at every one of the hundred barriers of a pass. So
 * a pool counts the time that its threads lose to waiting. When runs keep losing much of it, they go on with one thread less; after a
 * while without loss one more is tried, and after every try that failed the while is longer.
 */
#define _GNU_SOURCE /* for the CPU a thread runs on */
#include "espalier.h"
#include "system.h"

#include "memory.h" /* last: it forbids names that sched.h of musl declares */

#if defined(__x86_64__) || defined(_M_X64)
#define RELAX() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define RELAX() __asm__ __volatile__("yield")
#else
#define RELAX() ((void)0)
#endif

enum { SPINS_AT_BARRIER = 400, SPINS_BETWEEN_RUNS = 400 };

/*
 * A thread that sleeps takes 50 to 100 us to wake, a large part of a small pass. So where runs follow each other at once, as the target's
 * follows those that drafted for it, threads spin for half as long again as the longest of such gaps of late, which is the one before a
 * step's first draft; but for no longer than this, and not at all where gaps are usually longer than half of it.
 */
#define LONGEST_SPIN_NS 800e3
/* Gaps are averaged over about this many; the longest is forgotten within so many. */
enum { GAPS = 8, LONGEST_GAPS = 32 };

/* The share of their time that threads lose to waiting is averaged over about this long; less while one more is tried. */
#define MEMORY_NS 40e6
#define TRY_MEMORY_NS 10e6
/* One thread more is tried after this long without loss; twice as long after every try that failed, up to the second figure. */
#define TRY_NS 50e6
#define LONGEST_TRY_NS 400e6

/*
 * The number of a run, how many threads take part, and whether the last of them does all by itself while others go on, in one word: a worker must
 * never see one without the other.
 */
enum { ASIDE = 1 << 8, RUN_SHIFT = 9 };
_Static_assert((int)ESP_MAX_THREADS < (int)ASIDE, "threads of a run do not fit");

typedef struct {
  EspPool *pool;
  EspThread thread;
  EspLock lock;
  EspSignal wake;
  atomic_bool asleep;
  atomic_int cpu; /* that it was on when it last took part; -1: unknown */
  int index;
  _Alignas(64) double lost; /* ns that this thread waited in the run */
} Worker;

struct EspPool {
  int threads;
  _Alignas(64) atomic_uint arrived; /* threads that have come to barriers, ever */
  _Alignas(64) atomic_ullong run; /* runs begun << RUN_SHIFT | threads of the newest */
  void (*body)(void *, int);
  void *context;
  atomic_bool quit;
  atomic_bool aside; /* a worker does something by itself */
  EspLock one_run;
  unsigned passed; /* what `arrived` was when the last run ended */
  /* How many threads pay. */
  int advised;
  bool trying;
  double share; /* of their time that threads lost of late */
  double since, patience; /* ns: when `advised` was last thought about, and how long to leave it */
  double ended; /* ns: when the last run did */
  double gap, longest; /* ns: how long it usually is until the next, as at most LONGEST_SPIN_NS, and how long where that is not reached */
  _Atomic double spin; /* ns that workers wait for the next run before they sleep; 0: SPINS_BETWEEN_RUNS turns */
  Worker workers[ESP_MAX_THREADS]; /* 0 is whoever calls */
};

/* Of the run that this thread is in. */
static _Thread_local struct {
  unsigned barriers; /* what `arrived` will be when the next barrier opens */
  unsigned threads;
  double lost;
} here;

void esp_barrier(EspPool *pool) {
  if (here.threads == 1) return;
  here.barriers += here.threads;
  atomic_fetch_add_explicit(&pool->arrived, 1, memory_order_acq_rel);
  double began = 0;
  for (int spins = 0; (int)(atomic_load_explicit(&pool->arrived, memory_order_acquire) - here.barriers) < 0; spins++) {
    if (spins < SPINS_AT_BARRIER) {
      RELAX();
    } else {
      if (began == 0) began = esp_now();
      esp_yield();
    }
  }
  if (began != 0) here.lost += esp_now() - began;
}

/*
 * Linux likes to wake a thread on the CPU of the thread that woke it, and may leave the two there for many milliseconds beside idle
 * CPUs. A worker that finds itself on the CPU of one before it moves to another.
 */
static void spread(EspPool *pool, int index) {
#ifdef __linux__
  const int cpu = sched_getcpu();
  atomic_store_explicit(&pool->workers[index].cpu, cpu, memory_order_relaxed);
  cpu_set_t taken, allowed, others;
  CPU_ZERO(&taken);
  for (int i = 0; i < index; i++) {
    const int other = atomic_load_explicit(&pool->workers[i].cpu, memory_order_relaxed);
    if (other >= 0 && other < CPU_SETSIZE) CPU_SET(other, &taken);
  }
  if (cpu < 0 || cpu >= CPU_SETSIZE || !CPU_ISSET(cpu, &taken)) return;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
  CPU_AND(&others, &allowed, &taken);
  CPU_XOR(&others, &others, &allowed);
  if (CPU_COUNT(&others) == 0 || sched_setaffinity(0, sizeof others, &others) != 0) return;
  atomic_store_explicit(&pool->workers[index].cpu, sched_getcpu(), memory_order_relaxed);
  sched_setaffinity(0, sizeof allowed, &allowed);
#else
  (void)pool, (void)index;
#endif
}

/* This thread's part of a run of `threads`. */
static void take_part(EspPool *pool, int index, int threads) {
  here.barriers = pool->passed;
  here.threads = (unsigned)threads;
  here.lost = 0;
  if (threads > 1) spread(pool, index);
  pool->body(pool->context, index);
  pool->workers[index].lost = here.lost; /* what is lost at the last barrier shows at the others */
  esp_barrier(pool);
}

void esp_run_alone(void (*body)(void *, int), void *context) {
  here.threads = 1;
  body(context, 0);
}

/* All of a run that is this thread's alone. */
static void do_aside(EspPool *pool) {
  esp_run_alone(pool->body, pool->context);
  atomic_store_explicit(&pool->aside, false, memory_order_release);
}

static int threads_of(unsigned long long run) { return (int)(run & (ASIDE - 1)); }

/* Returns the run's word once there is a run after `seen` that this worker belongs to. */
static unsigned long long wait_for_run(Worker *worker, unsigned long long seen) {
  EspPool *pool = worker->pool;
  unsigned long long run;
  const double until = esp_now() + atomic_load_explicit(&pool->spin, memory_order_relaxed);
  do {
    for (int spins = 0; spins < SPINS_BETWEEN_RUNS; spins++) {
      run = atomic_load_explicit(&pool->run, memory_order_acquire);
      if (run >> RUN_SHIFT != seen >> RUN_SHIFT && worker->index < threads_of(run)) return run;
      RELAX();
    }
  } while (esp_now() < until);
  esp_lock(&worker->lock);
  atomic_store(&worker->asleep, true);
  for (;;) {
    run = atomic_load(&pool->run);
    if (run >> RUN_SHIFT != seen >> RUN_SHIFT && worker->index < threads_of(run)) break;
    esp_signal_wait(&worker->wake, &worker->lock);
  }
  atomic_store(&worker->asleep, false);
  esp_unlock(&worker->lock);
  return run;
}

static void work(void *argument) {
  Worker *worker = argument;
  for (unsigned long long run = 0;;) {
    run = wait_for_run(worker, run);
    if (atomic_load(&worker->pool->quit)) return;
    if (run & ASIDE) do_aside(worker->pool);
    else take_part(worker->pool, worker->index, threads_of(run));
  }
}

static void begin(EspPool *pool, int threads, unsigned how) {
  const unsigned long long run = atomic_load(&pool->run) >> RUN_SHIFT;
  atomic_store(&pool->run, (run + 1) << RUN_SHIFT | how | (unsigned)threads);
  for (int i = 1; i < threads; i++) {
    Worker *worker = &pool->workers[i];
    if (!atomic_load(&worker->asleep)) continue;
    esp_lock(&worker->lock);
    esp_signal_send(&worker->wake);
    esp_unlock(&worker->lock);
  }
}

/* Learns from a run of `threads` that began at `began`. */
static void learn(EspPool *pool, int threads, double began) {
  const double end = esp_now(), took = end - began;
  double lost = 0;
  for (int i = 0; i < threads; i++) lost += pool->workers[i].lost;
  const double share = threads > 1 ? lost / (took * (threads - 1)) : 0; /* 1: while one works, all others wait */
  pool->share += (share - pool->share) * took / (took + (pool->trying ? TRY_MEMORY_NS : MEMORY_NS));
  /* Without one of few threads little is left, without one of many nearly all. */
  const double worth = 0.8 / threads > 0.15 ? 0.8 / threads : 0.15;
  if (threads > 1 && pool->share > worth) {
    if (pool->trying && pool->patience < LONGEST_TRY_NS) pool->patience *= 2;
    pool->trying = false;
    pool->advised = threads - 1;
    pool->share = 0;
    pool->since = end;
  } else if (end - pool->since > pool->patience) {
    if (pool->trying || pool->advised == pool->threads) pool->patience = TRY_NS;
    pool->trying = pool->advised < pool->threads;
    if (pool->trying) pool->advised++;
    pool->since = end;
  }
}

/* Learns how long it was until the run that began at `began`. */
static void learn_gap(EspPool *pool, double began) {
  const double gap = began - pool->ended < LONGEST_SPIN_NS ? began - pool->ended : LONGEST_SPIN_NS;
  pool->gap += (gap - pool->gap) / GAPS;
  if (gap > pool->longest && gap < LONGEST_SPIN_NS) pool->longest = gap;
  else pool->longest += (gap - pool->longest) / LONGEST_GAPS;
  const double spin = 1.5 * pool->longest < LONGEST_SPIN_NS ? 1.5 * pool->longest : LONGEST_SPIN_NS;
  atomic_store_explicit(&pool->spin, 2 * pool->gap < LONGEST_SPIN_NS ? spin : 0, memory_order_relaxed);
}

int esp_pool_advise(EspPool *pool) {
  esp_lock(&pool->one_run);
  const int advised = pool->advised;
  esp_unlock(&pool->one_run);
  return advised;
}

bool esp_pool_begin(EspPool *pool, void (*body)(void *, int), void *context) {
  esp_lock(&pool->one_run);
  const bool idle = pool->advised > 1 && !atomic_load(&pool->aside);
  if (idle) {
    learn_gap(pool, esp_now());
    pool->body = body;
    pool->context = context;
    atomic_store(&pool->aside, true);
    begin(pool, 2, ASIDE);
  }
  esp_unlock(&pool->one_run);
  return idle;
}

void esp_pool_end(EspPool *pool) {
  for (int spins = 0; atomic_load_explicit(&pool->aside, memory_order_acquire); spins++) {
    if (spins < SPINS_BETWEEN_RUNS) RELAX();
    else esp_yield();
  }
}

void esp_pool_run(EspPool *pool, int threads, void (*body)(void *, int), void *context) {
  esp_lock(&pool->one_run);
  esp_pool_end(pool);
  const double began = esp_now();
  if (pool->threads > 1) learn_gap(pool, began);
  pool->body = body;
  pool->context = context;
  begin(pool, threads, 0);
  take_part(pool, 0, threads);
  pool->passed = here.barriers;
  if (pool->threads > 1) {
    learn(pool, threads, began);
    pool->ended = esp_now();
  }
  esp_unlock(&pool->one_run);
}

EspPool *esp_pool_create(int threads) {
  if (threads < 1 || threads > ESP_MAX_THREADS) return NULL;
  EspPool *pool = esp_alloc(sizeof *pool);
  if (!pool) return NULL;
  *pool = (EspPool){.threads = threads, .advised = threads, .patience = TRY_NS, .gap = LONGEST_SPIN_NS};
  esp_lock_init(&pool->one_run);
  for (int i = 1; i < threads; i++) {
    Worker *worker = &pool->workers[i];
    *worker = (Worker){.pool = pool, .index = i, .cpu = -1};
    esp_lock_init(&worker->lock);
    esp_signal_init(&worker->wake);
    if (!esp_thread_start(&worker->thread, work, worker)) {
      esp_signal_free(&worker->wake);
      esp_lock_free(&worker->lock);
      pool->threads = i; /* those that began are the ones to end */
      esp_pool_free(pool);
      return NULL;
    }
  }
  return pool;
}

void esp_pool_free(EspPool *pool) {
  if (!pool) return;
  esp_pool_end(pool);
  atomic_store(&pool->quit, true);
  begin(pool, pool->threads, 0);
  for (int i = 1; i < pool->threads; i++) {
    Worker *worker = &pool->workers[i];
    esp_thread_join(&worker->thread);
    esp_signal_free(&worker->wake);
    esp_lock_free(&worker->lock);
  }
  esp_lock_free(&pool->one_run);
  esp_free(pool);
}

int esp_pool_threads(const EspPool *pool) { return pool->threads; }
