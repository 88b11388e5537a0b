/* addon_stack.c - stacks for Node: a specification, read property by property. */
#include "addon.h"

#include <stdlib.h>

/* What a stack rests on. */
typedef struct {
  Box *list[8];
  int32_t count;
} Bases;

/* The matrix of that name, NULL when it is absent and `optional`; its arena joins `bases`, held. */
static EspMatrix *matrix_property(napi_env env, napi_value object, const char *name, bool optional, Bases *bases,
                                  bool *ok) {
  napi_value value;
  bool given;
  if (!*ok || !(*ok = property(env, object, name, &value, &given)) || (!given && optional)) return NULL;
  Box *box = unbox(env, value, BOX_MATRIX);
  if (!(*ok = box != NULL)) return NULL;
  int32_t at = 0;
  while (at < bases->count && bases->list[at] != box->bases[0]) at++;
  if (at == bases->count) {
    if (at == sizeof bases->list / sizeof *bases->list) {
      fail(env, "internal: the matrices of a stack lie in too many arenas");
      *ok = false;
      return NULL;
    }
    bases->list[bases->count++] = hold(box->bases[0]);
  }
  return box->handle;
}

/* The ropes of a specification; false: an exception is pending. */
static bool ropes_property(napi_env env, napi_value object, EspStackSpec *spec) {
  napi_value list, entry, value;
  uint32_t count = 0;
  if (napi_get_named_property(env, object, "ropes", &list) != napi_ok || napi_get_array_length(env, list, &count) != napi_ok ||
      count > ESP_MAX_ROPES || spec->rope_dims < 0) {
    fail(env, "internal: ropes must be a list of at most 4");
    return false;
  }
  spec->ropes = (int32_t)count;
  for (uint32_t i = 0; i < count; i++) {
    double amplitude;
    void *factors;
    if (napi_get_element(env, list, i, &entry) != napi_ok || napi_get_named_property(env, entry, "base", &value) != napi_ok ||
        napi_get_value_double(env, value, &spec->rope[i].base) != napi_ok ||
        napi_get_named_property(env, entry, "amplitude", &value) != napi_ok ||
        napi_get_value_double(env, value, &amplitude) != napi_ok) {
      fail(env, "internal: a rope without base or amplitude");
      return false;
    }
    if (!array_property(env, entry, "factors", napi_float32_array, (size_t)spec->rope_dims / 2, true, &factors)) return false;
    spec->rope[i].amplitude = (float)amplitude;
    spec->rope[i].factors = factors;
  }
  return true;
}

/* (pool, spec) -> stack. Throws what is wrong with the spec. */
static napi_value create_stack(napi_env env, napi_callback_info info) {
  napi_value values[2], list, value, entry;
  Box *pool;
  EspStackSpec spec = {0};
  uint32_t count;
  bool ok = true, gelu, given;
  if (!arguments(env, info, 2, values) || !(pool = unbox(env, values[0], BOX_POOL))) return NULL;
  Bases bases = {.list = {pool}, .count = 1};
  napi_value object = values[1];
  const struct { const char *name; int32_t *to; } integers[] = {
      {"hidden", &spec.hidden}, {"feed", &spec.feed},   {"heads", &spec.heads},         {"kvHeads", &spec.kv_heads},
      {"headSize", &spec.head_size}, {"vocab", &spec.vocab}, {"ropeDims", &spec.rope_dims},
  };
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
    if (!int_property(env, object, integers[i].name, integers[i].to)) return NULL;
  }
  CALL(env, napi_get_named_property(env, object, "ropeNeox", &value));
  CALL(env, napi_get_value_bool(env, value, &spec.rope_neox));
  if (!ropes_property(env, object, &spec)) return NULL;
  CALL(env, napi_get_named_property(env, object, "gelu", &value));
  CALL(env, napi_get_value_bool(env, value, &gelu));
  spec.activation = gelu ? ESP_GELU : ESP_SILU;
  const struct { const char *name; float *to; } numbers[] = {
      {"normEpsilon", &spec.norm_epsilon},     {"embeddingScale", &spec.embedding_scale}, {"attentionScale", &spec.attention_scale},
      {"attentionCap", &spec.attention_cap}, {"logitCap", &spec.logit_cap},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    double number;
    CALL(env, napi_get_named_property(env, object, numbers[i].name, &value));
    CALL(env, napi_get_value_double(env, value, &number));
    *numbers[i].to = (float)number;
  }
  CALL(env, napi_get_named_property(env, object, "layers", &list));
  CALL(env, napi_get_array_length(env, list, &count));
  if (count < 1 || count > 1024 || spec.hidden < 1 || spec.hidden > 1 << 20) {
    return fail(env, "internal: layers or hidden out of range");
  }
  spec.layers = (int32_t)count;
  EspLayer *layers = calloc(count, sizeof *layers);
  if (!layers) return fail(env, "internal: no memory for a specification");
  const size_t hidden = (size_t)spec.hidden;
  for (uint32_t i = 0; ok && i < count; i++) {
    EspLayer *layer = &layers[i];
    const int64_t query = (int64_t)spec.heads * spec.head_size, key = (int64_t)spec.kv_heads * spec.head_size;
    const struct { const char *name; const float **to; int64_t size; bool optional; } vectors[] = {
        {"attentionNorm", &layer->attention_norm, spec.hidden, true},
        {"feedNorm", &layer->feed_norm, spec.hidden, false},
        {"queryBias", &layer->query_bias, query, true},
        {"keyBias", &layer->key_bias, key, true},
        {"valueBias", &layer->value_bias, key, true},
        {"queryNorm", &layer->query_norm, spec.head_size, true},
        {"keyNorm", &layer->key_norm, spec.head_size, true},
        {"attentionPostNorm", &layer->attention_post_norm, spec.hidden, true},
        {"feedPostNorm", &layer->feed_post_norm, spec.hidden, true},
    };
    ok = napi_get_element(env, list, i, &entry) == napi_ok && int_property(env, entry, "rope", &layer->rope) &&
         int_property(env, entry, "window", &layer->window);
    for (size_t v = 0; ok && v < sizeof vectors / sizeof *vectors; v++) {
      void *data = NULL;
      ok = array_property(env, entry, vectors[v].name, napi_float32_array, (size_t)vectors[v].size, vectors[v].optional, &data);
      *vectors[v].to = data;
    }
    if (!ok) break;
    layer->query = matrix_property(env, entry, "query", false, &bases, &ok);
    layer->key = matrix_property(env, entry, "key", false, &bases, &ok);
    layer->value = matrix_property(env, entry, "value", false, &bases, &ok);
    layer->output = matrix_property(env, entry, "output", false, &bases, &ok);
    layer->gate = matrix_property(env, entry, "gate", false, &bases, &ok);
    layer->up = matrix_property(env, entry, "up", false, &bases, &ok);
    layer->down = matrix_property(env, entry, "down", false, &bases, &ok);
  }
  spec.embedding = matrix_property(env, object, "embedding", true, &bases, &ok);
  spec.head = matrix_property(env, object, "head", true, &bases, &ok);
  spec.others = matrix_property(env, object, "others", true, &bases, &ok);
  spec.join = matrix_property(env, object, "join", true, &bases, &ok);
  spec.fuse = matrix_property(env, object, "fuse", true, &bases, &ok);
  void *final_norm = NULL, *token_norm = NULL, *feature_norm = NULL, *fuse_norm = NULL, *join_bias = NULL;
  ok = ok && array_property(env, object, "finalNorm", napi_float32_array, hidden, true, &final_norm) &&
       array_property(env, object, "tokenNorm", napi_float32_array, hidden, true, &token_norm) &&
       array_property(env, object, "featureNorm", napi_float32_array, hidden, true, &feature_norm) &&
       array_property(env, object, "fuseNorm", napi_float32_array, spec.fuse ? (size_t)spec.fuse->cols : hidden, true, &fuse_norm) &&
       array_property(env, object, "joinBias", napi_float32_array, hidden, true, &join_bias) &&
       property(env, object, "wide", &value, &given) && (!given || napi_get_value_bool(env, value, &spec.wide) == napi_ok);
  const char *message = "internal: the specification of a stack";
  EspStack *stack = NULL;
  if (ok && live(pool)) {
    spec.final_norm = final_norm;
    spec.token_norm = token_norm;
    spec.feature_norm = feature_norm;
    spec.fuse_norm = fuse_norm;
    spec.join_bias = join_bias;
    spec.layer = layers;
    stack = esp_stack_create(&spec, pool->handle, &message);
  }
  free(layers);
  napi_value result = stack ? wrap(env, BOX_STACK, stack, bases.list, bases.count) : fail(env, message);
  for (int32_t i = 1; i < bases.count; i++) let_go(bases.list[i]);
  return result;
}

const Function stack_functions[] = {
    {"createStack", create_stack},
    {NULL, NULL},
};
