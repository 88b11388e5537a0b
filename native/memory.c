/*
 * memory.c - zeroed memory. Large blocks have large pages: with small ones, looking up addresses costs as much as reading.
 *
 * On Linux large blocks come from the system and go back to it. glibc starts with the same rule but gives it up: once such a block is
 * freed, blocks of that size come from its heaps, where small ones that live longer settle between them, and a process that
 * loads models again and again holds half as much again as it needs. Sanitizers watch the allocator, so they leave all to it.
 *
 * Such blocks of caches are soon asked for again, and the system's pages take time when they are first touched, on virtual machines as
 * much as a pass. So the latest ones that were freed are kept.
 */
#define _DEFAULT_SOURCE
#define ESP_MEMORY_C
#include "espalier.h"
#include "memory.h"

#include <stdint.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#elif defined(__linux__)
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#endif

enum { LINE = 64, PAGE = 64 << 10 /* the largest that systems have */, LARGE_PAGE = 2 << 20 };

static size_t round_up(size_t size, size_t unit) { return (size + unit - 1) / unit * unit; }

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)

/* In the line before each block: where it comes from. */
typedef struct {
  void *start;
  size_t mapped; /* bytes from the system; 0: from the allocator */
  size_t taken; /* bytes from either */
} Origin;

/* Bytes of blocks that are in use. */
static atomic_size_t used;

static Origin *origin(void *memory) { return (Origin *)((uint8_t *)memory - LINE); }

static void *from_allocator(size_t size) {
  uint8_t *start = aligned_alloc(LINE, LINE + size);
  if (!start) return NULL;
  *origin(start + LINE) = (Origin){.start = start, .taken = LINE + size};
  return memset(start + LINE, 0, size);
}

/* Large blocks that were freed, the oldest first; their memory is all there is of them. */
enum { KEPT = 32, KEPT_BYTES = 96 << 20, LARGEST_KEPT = 24 << 20 };
static struct {
  pthread_mutex_t lock;
  int count;
  size_t bytes;
  Origin blocks[KEPT];
} kept = {.lock = PTHREAD_MUTEX_INITIALIZER};

static Origin take_out(int at) {
  const Origin block = kept.blocks[at];
  kept.bytes -= block.mapped;
  kept.count--;
  memmove(kept.blocks + at, kept.blocks + at + 1, (size_t)(kept.count - at) * sizeof *kept.blocks);
  return block;
}

static void keep(Origin block) {
  pthread_mutex_lock(&kept.lock);
  while (kept.count == KEPT || (kept.count > 0 && kept.bytes + block.mapped > KEPT_BYTES)) {
    const Origin oldest = take_out(0);
    munmap(oldest.start, oldest.mapped);
  }
  kept.blocks[kept.count++] = block;
  kept.bytes += block.mapped;
  pthread_mutex_unlock(&kept.lock);
}

/* A kept block of this size, zeroed again; NULL: there is none. The newest is the likeliest to be in the processor's caches. */
static void *from_kept(size_t size) {
  Origin block = {0};
  pthread_mutex_lock(&kept.lock);
  for (int at = kept.count - 1; at >= 0 && !block.mapped; at--) {
    if (kept.blocks[at].mapped == PAGE + size) block = take_out(at);
  }
  pthread_mutex_unlock(&kept.lock);
  return block.mapped ? memset((uint8_t *)block.start + PAGE, 0, size) : NULL;
}

/* What lies before the page of the origin and behind the block, taken to reach a multiple of `unit`, goes back at once. */
static void *from_system(size_t size, size_t unit) {
  const size_t taken = PAGE + unit + size;
  uint8_t *all = mmap(NULL, taken, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return NULL;
  uint8_t *memory = (uint8_t *)round_up((uintptr_t)all + PAGE, unit), *start = memory - PAGE, *end = memory + size;
  if (start > all) munmap(all, (size_t)(start - all));
  if (all + taken > end) munmap(end, (size_t)(all + taken - end));
  if (unit == LARGE_PAGE) madvise(memory, size, MADV_HUGEPAGE); /* advice: nothing is lost when it is not taken */
  *origin(memory) = (Origin){.start = start, .mapped = PAGE + size, .taken = PAGE + size};
  return memory;
}

static void *find(size_t bytes) {
  if (bytes < 2 * PAGE) return from_allocator(bytes ? round_up(bytes, LINE) : LINE);
  const size_t unit = bytes < LARGE_PAGE ? PAGE : LARGE_PAGE, size = round_up(bytes, unit);
  void *memory = unit == LARGE_PAGE ? from_kept(size) : NULL;
  return memory ? memory : from_system(size, unit);
}

void *esp_alloc(size_t bytes) {
  void *memory = bytes > SIZE_MAX / 2 ? NULL : find(bytes);
  if (memory) atomic_fetch_add_explicit(&used, origin(memory)->taken, memory_order_relaxed);
  return memory;
}

bool esp_memory(EspMemory *memory) {
  pthread_mutex_lock(&kept.lock);
  *memory = (EspMemory){.used = atomic_load_explicit(&used, memory_order_relaxed), .kept = kept.bytes};
  pthread_mutex_unlock(&kept.lock);
  return true;
}

void esp_free(void *memory) {
  if (!memory) return;
  const Origin from = *origin(memory);
  atomic_fetch_sub_explicit(&used, from.taken, memory_order_relaxed);
  if (!from.mapped) free(from.start);
  else if (from.mapped < LARGE_PAGE || from.mapped > LARGEST_KEPT) munmap(from.start, from.mapped);
  else keep(from);
}

#else

bool esp_memory(EspMemory *memory) {
  (void)memory;
  return false;
}

void *esp_alloc(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return NULL;
  const size_t size = bytes ? round_up(bytes, LINE) : LINE, unit = size < LARGE_PAGE ? LINE : LARGE_PAGE;
#if defined(_WIN32)
  void *memory = _aligned_malloc(size, unit);
#else
  void *memory = aligned_alloc(unit, round_up(size, unit));
#endif
  return memory ? memset(memory, 0, size) : NULL;
}

void esp_free(void *memory) {
#if defined(_WIN32)
  _aligned_free(memory);
#else
  free(memory);
#endif
}

#endif
