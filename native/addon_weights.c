/* addon_weights.c - weights for Node: arenas and their matrices. */
#include "addon_jobs.h"

/* (type, fourBit, rows, cols) -> bytes in an arena, 0 when there is no such matrix */
static napi_value matrix_bytes(napi_env env, napi_callback_info info) {
  napi_value values[4], result;
  int32_t type, rows, cols;
  bool four_bit;
  if (!arguments(env, info, 4, values) || !get_int(env, values[0], &type) || !get_int(env, values[2], &rows) ||
      !get_int(env, values[3], &cols)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[1], &four_bit));
  CALL(env, napi_create_double(env, (double)esp_matrix_bytes(type, four_bit, rows, cols), &result));
  return result;
}

/* (bytes) -> arena or null */
static napi_value create_arena(napi_env env, napi_callback_info info) {
  napi_value argument;
  double bytes;
  if (!arguments(env, info, 1, &argument)) return NULL;
  CALL(env, napi_get_value_double(env, argument, &bytes));
  if (!(bytes >= 0 && bytes < 9e15)) return fail(env, "internal: size of an arena");
  return wrap(env, BOX_ARENA, esp_arena_create((size_t)bytes), NULL, 0);
}

/* (arena, type, fourBit, rows, cols) -> matrix or null */
static napi_value create_matrix(napi_env env, napi_callback_info info) {
  napi_value values[5];
  int32_t type, rows, cols;
  bool four_bit;
  Box *arena;
  if (!arguments(env, info, 5, values) || !(arena = unbox(env, values[0], BOX_ARENA)) ||
      !get_int(env, values[1], &type) || !get_int(env, values[3], &rows) || !get_int(env, values[4], &cols)) {
    return NULL;
  }
  CALL(env, napi_get_value_bool(env, values[2], &four_bit));
  return wrap(env, BOX_MATRIX, esp_matrix_create(arena->handle, type, four_bit, rows, cols), &arena, 1);
}

/* (matrix, count) -> bytes in an arena of so many of its rows, 0 when there are none such */
static napi_value gathered_bytes(napi_env env, napi_callback_info info) {
  napi_value values[2], result;
  const EspMatrix *matrix;
  int32_t count;
  if (!arguments(env, info, 2, values) || !(matrix = unwrap(env, values[0], BOX_MATRIX)) || !get_int(env, values[1], &count)) {
    return NULL;
  }
  CALL(env, napi_create_double(env, (double)esp_matrix_gathered_bytes(matrix, count), &result));
  return result;
}

/* (arena, matrix, Int32Array rows) -> a matrix of these rows, or null */
static napi_value gather_matrix(napi_env env, napi_callback_info info) {
  napi_value values[3];
  Box *arena;
  const EspMatrix *matrix;
  napi_typedarray_type type;
  size_t length;
  void *rows;
  if (!arguments(env, info, 3, values) || !(arena = unbox(env, values[0], BOX_ARENA)) ||
      !(matrix = unwrap(env, values[1], BOX_MATRIX))) {
    return NULL;
  }
  CALL(env, napi_get_typedarray_info(env, values[2], &type, &length, &rows, NULL, NULL));
  if (type != napi_int32_array || length > 1 << 24) return fail(env, "internal: rows of a matrix");
  return wrap(env, BOX_MATRIX, esp_matrix_gather(arena->handle, matrix, rows, (int32_t)length), &arena, 1);
}

typedef struct {
  Job base;
  EspMatrix *matrix;
  int32_t first, rows;
  const uint8_t *bytes;
} Fill;

static void fill(Job *job) {
  const Fill *self = (const Fill *)job;
  job->status = esp_matrix_fill(self->matrix, self->first, self->rows, self->bytes) ? ESP_OK : ESP_INVALID;
  job->message = "rows outside the matrix";
}

/* ({matrix, first, rows, bytes}) -> Promise */
static napi_value fill_matrix(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  int32_t first, rows;
  void *bytes;
  if (!arguments(env, info, 1, &request)) return NULL;
  Box *box = NULL;
  if (!property(env, request, "matrix", &value, &given) || !(box = unbox(env, value, BOX_MATRIX))) return NULL;
  Fill *job = (Fill *)new_job(env, sizeof *job, fill);
  if (!job) return NULL;
  job->base.held[job->base.held_count++] = hold(box);
  EspMatrix *matrix = box->handle;
  if (!int_property(env, request, "first", &first) || !int_property(env, request, "rows", &rows) || rows < 0 ||
      rows > matrix->rows ||
      !array_property(env, request, "bytes", napi_uint8_array,
                      (size_t)rows * esp_matrix_row_bytes(matrix->source, matrix->cols), false, &bytes)) {
    free_job(&job->base);
    return fail(env, "internal: rows outside the matrix");
  }
  job->matrix = matrix;
  job->first = first;
  job->rows = rows;
  job->bytes = bytes;
  return start_job(env, &job->base, request);
}

/* ({matrix, bias, input, output}): output = silu(matrix * input + bias), on this thread */
static napi_value dense(napi_env env, napi_callback_info info) {
  napi_value request, value;
  bool given;
  Box *box;
  void *bias, *input, *output;
  if (!arguments(env, info, 1, &request) || !property(env, request, "matrix", &value, &given) ||
      !(box = unbox(env, value, BOX_MATRIX))) {
    return NULL;
  }
  const EspMatrix *matrix = box->handle;
  if (!array_property(env, request, "bias", napi_float32_array, (size_t)matrix->rows, false, &bias) ||
      !array_property(env, request, "input", napi_float32_array, (size_t)matrix->cols, false, &input) ||
      !array_property(env, request, "output", napi_float32_array, (size_t)matrix->rows, false, &output)) {
    return NULL;
  }
  return esp_dense(matrix, bias, input, output) ? NULL : fail(env, "no memory for a layer");
}

const Function weight_functions[] = {
    {"matrixBytes", matrix_bytes},
    {"createArena", create_arena},
    {"createMatrix", create_matrix},
    {"fillMatrix", fill_matrix},
    {"gatheredBytes", gathered_bytes},
    {"gatherMatrix", gather_matrix},
    {"dense", dense},
    {NULL, NULL},
};
