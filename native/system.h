/* system.h - threads, locks and the clock, of POSIX or of Windows; for threads.c. */
#ifndef ESP_SYSTEM_H
#define ESP_SYSTEM_H

#include <stdbool.h>

typedef struct EspThread EspThread;

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#include <process.h>
#include <windows.h>

typedef SRWLOCK EspLock;
typedef CONDITION_VARIABLE EspSignal;
struct EspThread {
  HANDLE handle;
  void (*body)(void *);
  void *argument;
};

static inline void esp_lock_init(EspLock *lock) { InitializeSRWLock(lock); }
static inline void esp_lock_free(EspLock *lock) { (void)lock; }
static inline void esp_lock(EspLock *lock) { AcquireSRWLockExclusive(lock); }
static inline void esp_unlock(EspLock *lock) { ReleaseSRWLockExclusive(lock); }
static inline void esp_signal_init(EspSignal *signal) { InitializeConditionVariable(signal); }
static inline void esp_signal_free(EspSignal *signal) { (void)signal; }
static inline void esp_signal_send(EspSignal *signal) { WakeConditionVariable(signal); }
static inline void esp_signal_wait(EspSignal *signal, EspLock *lock) {
  SleepConditionVariableSRW(signal, lock, INFINITE, 0);
}
static inline void esp_yield(void) { SwitchToThread(); }

static inline double esp_now(void) {
  LARGE_INTEGER ticks, per_second;
  QueryPerformanceCounter(&ticks);
  QueryPerformanceFrequency(&per_second);
  return (double)ticks.QuadPart * (1e9 / (double)per_second.QuadPart);
}

static inline unsigned __stdcall esp_thread_main(void *thread) {
  EspThread *self = thread;
  self->body(self->argument);
  return 0;
}
static inline bool esp_thread_begin(EspThread *thread) {
  thread->handle = (HANDLE)_beginthreadex(NULL, 0, esp_thread_main, thread, 0, NULL);
  return thread->handle != NULL;
}
static inline void esp_thread_join(EspThread *thread) {
  WaitForSingleObject(thread->handle, INFINITE);
  CloseHandle(thread->handle);
}

#else
#include <pthread.h>
#include <sched.h>
#include <time.h>

typedef pthread_mutex_t EspLock;
typedef pthread_cond_t EspSignal;
struct EspThread {
  pthread_t handle;
  void (*body)(void *);
  void *argument;
};

static inline void esp_lock_init(EspLock *lock) { pthread_mutex_init(lock, NULL); }
static inline void esp_lock_free(EspLock *lock) { pthread_mutex_destroy(lock); }
static inline void esp_lock(EspLock *lock) { pthread_mutex_lock(lock); }
static inline void esp_unlock(EspLock *lock) { pthread_mutex_unlock(lock); }
static inline void esp_signal_init(EspSignal *signal) { pthread_cond_init(signal, NULL); }
static inline void esp_signal_free(EspSignal *signal) { pthread_cond_destroy(signal); }
static inline void esp_signal_send(EspSignal *signal) { pthread_cond_signal(signal); }
static inline void esp_signal_wait(EspSignal *signal, EspLock *lock) { pthread_cond_wait(signal, lock); }
static inline void esp_yield(void) { sched_yield(); }

static inline double esp_now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static inline void *esp_thread_main(void *thread) {
  EspThread *self = thread;
  self->body(self->argument);
  return NULL;
}
static inline bool esp_thread_begin(EspThread *thread) {
  return pthread_create(&thread->handle, NULL, esp_thread_main, thread) == 0;
}
static inline void esp_thread_join(EspThread *thread) { pthread_join(thread->handle, NULL); }
#endif

/* Runs body(argument) on a thread of its own; *thread must stay where it is until it is joined. False: none to be had. */
static inline bool esp_thread_start(EspThread *thread, void (*body)(void *), void *argument) {
  thread->body = body;
  thread->argument = argument;
  return esp_thread_begin(thread);
}

#endif
