/*
 * addon_jobs.h - work off the JavaScript thread. A kind of job is a struct that begins with a Job, and a body for any thread; jobs of
 * passes may also be run where they are made.
 */
#ifndef ESP_ADDON_JOBS_H
#define ESP_ADDON_JOBS_H

#include "addon.h"

typedef struct Job Job;
struct Job {
  void (*body)(Job *job); /* sets the status, and the message where that is not ESP_OK */
  EspStatus status;
  const char *message;
  Box *held[1 + ESP_MAX_TREES]; /* what it works on */
  int32_t held_count;
  void *room[2 * ESP_MAX_TREES]; /* memory that is freed with it */
  int32_t room_count;
  napi_async_work work;
  napi_deferred deferred;
  napi_ref request; /* keeps buffers and handles alive */
};

/* Of an EspStatus. */
extern const char *const status_codes[];

/* A job with all of its `size` bytes zero but the body; NULL: an exception is pending. */
Job *new_job(napi_env env, size_t size, void (*body)(Job *job));
/* The box of a handle that the job will work on alone; held until free_job. NULL: an exception is pending. */
Box *take(napi_env env, Job *job, napi_value value, BoxKind kind);
/* A copy of so many integers, until free_job. NULL: an exception is pending. */
int32_t *copy_ints(napi_env env, Job *job, const int32_t *from, size_t count);
/* A promise of its end, when it is freed; NULL: it is freed already, an exception is pending. */
napi_value start_job(napi_env env, Job *job, napi_value request);
/* A job that was not started. */
void free_job(Job *job);

#endif
