/* addon_jobs.c - jobs on Node's thread pool, and their promises. */
#include "addon_jobs.h"

#include <stdlib.h>
#include <string.h>

const char *const status_codes[] = {"ok", "aborted", "invalid", "full", "no-memory", "changed"};

Job *new_job(napi_env env, size_t size, void (*body)(Job *job)) {
  Job *job = calloc(1, size);
  if (job) job->body = body;
  else fail(env, "internal: no memory for a job");
  return job;
}

Box *take(napi_env env, Job *job, napi_value value, BoxKind kind) {
  Box *box = unbox(env, value, kind);
  if (!box) return NULL;
  bool own = false;
  for (int32_t i = 0; i < job->held_count; i++) own = own || job->held[i] == box;
  if (box->busy > 0 && !own) {
    fail(env, "internal: a pass runs on this handle");
    return NULL;
  }
  return job->held[job->held_count++] = hold(box);
}

int32_t *copy_ints(napi_env env, Job *job, const int32_t *from, size_t count) {
  int32_t *copy = malloc((count + 1) * sizeof *copy);
  if (!copy) {
    fail(env, "internal: no memory for a job");
    return NULL;
  }
  job->room[job->room_count++] = copy;
  return count > 0 ? memcpy(copy, from, count * sizeof *copy) : copy;
}

void free_job(Job *job) {
  for (int32_t i = 0; i < job->held_count; i++) let_go(job->held[i]);
  for (int32_t i = 0; i < job->room_count; i++) free(job->room[i]);
  free(job);
}

static void execute(napi_env env, void *data) {
  (void)env;
  Job *job = data;
  job->body(job);
}

static void complete(napi_env env, napi_status status, void *data) {
  Job *job = data;
  napi_value value = NULL, text = NULL, code = NULL;
  if (status == napi_ok && job->status == ESP_OK) {
    napi_get_undefined(env, &value);
    napi_resolve_deferred(env, job->deferred, value);
  } else {
    napi_create_string_utf8(env, status == napi_ok ? job->message : "cancelled", NAPI_AUTO_LENGTH, &text);
    napi_create_string_utf8(env, status_codes[job->status], NAPI_AUTO_LENGTH, &code);
    napi_create_error(env, code, text, &value);
    napi_reject_deferred(env, job->deferred, value);
  }
  napi_delete_reference(env, job->request);
  napi_delete_async_work(env, job->work);
  free_job(job);
}

napi_value start_job(napi_env env, Job *job, napi_value request) {
  napi_value promise, name;
  if (napi_create_string_utf8(env, "espalier", NAPI_AUTO_LENGTH, &name) != napi_ok ||
      napi_create_reference(env, request, 1, &job->request) != napi_ok ||
      napi_create_async_work(env, NULL, name, execute, complete, job, &job->work) != napi_ok ||
      napi_create_promise(env, &job->deferred, &promise) != napi_ok || napi_queue_async_work(env, job->work) != napi_ok) {
    free_job(job); /* a failure here is a lack of memory: what was made before it is lost with the process */
    return fail(env, "internal: no memory for a job");
  }
  return promise;
}
