/* mapping.c - maps a file; on POSIX with a signal handler that turns a page that cannot be read into a return value. */
#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
#else
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif

#include "mapping.h"

#include "memory.h" /* last: it forbids names that system headers declare */

#if defined(_WIN32)

struct EspMapping {
  HANDLE file;
  const uint8_t *bytes;
};

enum { LONGEST_PATH = 32768 };

static HANDLE open_shared_for_reading(const char *path) {
  wchar_t *wide = esp_alloc(LONGEST_PATH * sizeof *wide);
  HANDLE file = INVALID_HANDLE_VALUE;
  if (wide && MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, wide, LONGEST_PATH) > 0) {
    file = CreateFileW(wide, GENERIC_READ, FILE_SHARE_READ | FILE_SHARE_DELETE, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
  }
  esp_free(wide);
  return file;
}

EspStatus esp_map(const char *path, uint64_t bytes, EspMapping **mapping) {
  EspMapping made = {.file = open_shared_for_reading(path)};
  LARGE_INTEGER size;
  EspStatus status = ESP_INVALID;
  HANDLE section = NULL;
  if (made.file == INVALID_HANDLE_VALUE) return status;
  if (!GetFileSizeEx(made.file, &size) || (uint64_t)size.QuadPart != bytes || bytes == 0) goto fail;
  status = ESP_NO_MEMORY;
  section = CreateFileMappingW(made.file, NULL, PAGE_READONLY, 0, 0, NULL);
  if (section) made.bytes = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);
  if (section) CloseHandle(section); /* the view keeps it */
  if (!made.bytes || !(*mapping = esp_alloc(sizeof **mapping))) goto fail;
  **mapping = made;
  return ESP_OK;
fail:
  if (made.bytes) UnmapViewOfFile(made.bytes);
  CloseHandle(made.file);
  return status;
}

void esp_unmap(EspMapping *mapping) {
  if (!mapping) return;
  UnmapViewOfFile(mapping->bytes);
  CloseHandle(mapping->file);
  esp_free(mapping);
}

bool esp_map_unchanged(const EspMapping *mapping) {
  (void)mapping; /* it is not shared for writing */
  return true;
}

bool esp_map_guarded(void (*body)(void *context), void *context) {
  body(context);
  return true;
}

#else

struct EspMapping {
  int file;
  const uint8_t *bytes;
  struct stat info;
};

/* Whether this thread reads a mapping and nothing else, and where it goes on when a page cannot be read. */
static _Thread_local volatile bool guarded;
static _Thread_local sigjmp_buf landing;
static struct sigaction previous;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool installed;

static void on_bus_error(int signal, siginfo_t *info, void *context) {
  if (guarded) {
    guarded = false;
    siglongjmp(landing, 1);
  }
  /* Not ours: as if this handler were not there. */
  if (previous.sa_flags & SA_SIGINFO) previous.sa_sigaction(signal, info, context);
  else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) previous.sa_handler(signal);
  else sigaction(SIGBUS, &previous, NULL); /* it happens again at once */
}

static void install(void) {
  /* SA_NODEFER: the handler may be left by a jump without the signal staying blocked. */
  struct sigaction action = {.sa_sigaction = on_bus_error, .sa_flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  installed = sigaction(SIGBUS, &action, &previous) == 0;
}

EspStatus esp_map(const char *path, uint64_t bytes, EspMapping **mapping) {
  EspMapping made = {.file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)}; /* opening a pipe would wait */
  EspStatus status = ESP_INVALID;
  if (made.file < 0) return status;
  if (fstat(made.file, &made.info) != 0 || !S_ISREG(made.info.st_mode) || bytes == 0 || bytes > SIZE_MAX ||
      (uint64_t)made.info.st_size != bytes) goto fail;
  status = ESP_NO_MEMORY;
  pthread_once(&once, install);
  void *start = installed ? mmap(NULL, (size_t)bytes, PROT_READ, MAP_SHARED, made.file, 0) : MAP_FAILED;
  if (start == MAP_FAILED) goto fail;
  made.bytes = start;
  if (!(*mapping = esp_alloc(sizeof **mapping))) {
    munmap(start, (size_t)bytes);
    goto fail;
  }
  **mapping = made;
  return ESP_OK;
fail:
  close(made.file);
  return status;
}

void esp_unmap(EspMapping *mapping) {
  if (!mapping) return;
  munmap((void *)(uintptr_t)mapping->bytes, (size_t)mapping->info.st_size);
  close(mapping->file);
  esp_free(mapping);
}

#if defined(__APPLE__)
#define CHANGED st_mtimespec
#else
#define CHANGED st_mtim
#endif

bool esp_map_unchanged(const EspMapping *mapping) {
  struct stat now;
  const struct stat *then = &mapping->info;
  return fstat(mapping->file, &now) == 0 && now.st_size == then->st_size && now.CHANGED.tv_sec == then->CHANGED.tv_sec &&
         now.CHANGED.tv_nsec == then->CHANGED.tv_nsec;
}

bool esp_map_guarded(void (*body)(void *context), void *context) {
  if (sigsetjmp(landing, 0) != 0) return false;
  guarded = true;
  body(context);
  guarded = false;
  return true;
}

#endif

const uint8_t *esp_mapped_bytes(const EspMapping *mapping) { return mapping->bytes; }
