/* stack.c - a stack: what it may be, and its memory. */
#include "stack.h"

#include "memory.h"
#include "numbers.h"

#include <string.h>

static bool fits(const EspMatrix *matrix, int32_t rows, int32_t cols) {
  return matrix && matrix->rows == rows && matrix->cols == cols;
}

static const char *contradiction(const EspStackSpec *spec) {
  const int32_t limit = 1 << 20;
  if (spec->layers < 1 || spec->layers > 1024) return "layers must be 1 to 1024";
  if (spec->hidden < ESP_BLOCK || spec->hidden % ESP_BLOCK || spec->hidden > limit) return "hidden must be a multiple of 32";
  if (spec->feed < ESP_BLOCK || spec->feed % ESP_BLOCK || spec->feed > limit) return "feed must be a multiple of 32";
  if (spec->head_size < ESP_BLOCK || spec->head_size % ESP_BLOCK || spec->head_size > MOST_HEAD) {
    return "head_size must be a multiple of 32, at most 1024";
  }
  if (spec->heads < 1 || spec->kv_heads < 1 || spec->heads > 1024 || spec->heads % spec->kv_heads) {
    return "heads must be a multiple of kv_heads";
  }
  if (spec->heads / spec->kv_heads > ESP_QUERIES) return "more than 48 query heads share a key head";
  if (spec->rope_dims < 2 || spec->rope_dims % 2 || spec->rope_dims > spec->head_size) return "rope_dims is out of range";
  if (spec->ropes < 1 || spec->ropes > ESP_MAX_ROPES) return "ropes must be 1 to 4";
  for (int32_t r = 0; r < spec->ropes; r++) {
    const EspRope *rope = &spec->rope[r];
    if (!(rope->base > 0 && rope->base < 1e30)) return "a rope's base is out of range";
    if (!(rope->amplitude > 0 && rope->amplitude <= 16)) return "a rope's amplitude is out of range";
    for (int32_t i = 0; rope->factors && i < spec->rope_dims / 2; i++) {
      if (!(rope->factors[i] >= 0.0625f && rope->factors[i] <= 65536)) return "a rope's factor is out of range";
    }
  }
  if (!(spec->norm_epsilon >= 0 && spec->norm_epsilon < 1)) return "norm_epsilon is out of range";
  if (!(spec->attention_scale > 0 && spec->attention_scale < 1e6f)) return "attention_scale is out of range";
  if (!(spec->embedding_scale > 0 && spec->embedding_scale < 1e6f)) return "embedding_scale is out of range";
  if (!(spec->attention_cap >= 0 && spec->attention_cap < 1e6f)) return "attention_cap is out of range";
  if (!(spec->logit_cap >= 0 && spec->logit_cap < 1e6f)) return "logit_cap is out of range";
  if (spec->activation != ESP_SILU && spec->activation != ESP_GELU) return "there is no such activation";
  if (spec->vocab < 1 || spec->vocab > 1 << 24) return "vocab is out of range";
  if (spec->embedding && !fits(spec->embedding, is_draft_head(spec) ? spec->embedding->rows : spec->vocab, spec->hidden)) {
    return "the embedding has another shape";
  }
  if (is_draft_head(spec) && !spec->embedding) return "a draft head needs an embedding";
  if (spec->wide && (spec->join || spec->layers != 1)) return "a wide draft head has one layer and no joining matrix";
  if (spec->join && !fits(spec->join, spec->hidden, 2 * spec->hidden)) return "the joining matrix has another shape";
  if ((spec->fuse || spec->fuse_norm) && !is_draft_head(spec)) return "fuse is for draft heads";
  if (spec->fuse && (spec->fuse->rows != spec->hidden || spec->fuse->cols % spec->hidden || spec->fuse->cols / spec->hidden > 8)) {
    return "the fusing matrix has another shape";
  }
  if (spec->head && !fits(spec->head, spec->vocab, spec->hidden)) return "the head has another shape";
  if (spec->others && (!spec->head || spec->vocab % ESP_GROUP || spec->others->cols != spec->hidden)) {
    return "other rows are as wide as a head's, and stand behind whole groups of 16";
  }
  if (spec->head && !spec->final_norm && !is_draft_head(spec)) return "a head needs the final norm";
  const int32_t query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const int32_t seen = spec->wide ? 2 * spec->hidden : spec->hidden;
  for (int32_t i = 0; i < spec->layers; i++) {
    const EspLayer *layer = &spec->layer[i];
    if (!layer->feed_norm || (!layer->attention_norm && !is_draft_head(spec))) return "a layer has no norm";
    if (layer->rope < 0 || layer->rope >= spec->ropes) return "a layer turns by a rope that is not there";
    if (layer->window < 0) return "a layer's window is out of range";
    if (!fits(layer->query, query, seen) || !fits(layer->key, key, seen) || !fits(layer->value, key, seen) ||
        !fits(layer->output, spec->hidden, query) ||
        !fits(layer->gate, spec->feed, spec->hidden) || !fits(layer->up, spec->feed, spec->hidden) ||
        !fits(layer->down, spec->hidden, spec->feed)) {
      return "a layer's matrix has another shape";
    }
  }
  return NULL;
}

/* Zeroed and aligned to a cache line; `bad` collects failures. */
static void *room(size_t count, size_t size, bool *bad) {
  void *memory = esp_alloc(count * size);
  if (!memory) *bad = true;
  return memory;
}

static void make_activations(EspActivations *activations, int32_t rows, int32_t cols, bool *bad) {
  const size_t blocks = (size_t)rows * (size_t)cols / ESP_BLOCK;
  activations->quants = room(blocks, ESP_BLOCK, bad);
  activations->scales = room(blocks, sizeof(float), bad);
  activations->masses = room(blocks, sizeof(float), bad);
  activations->starts4 = room(blocks, sizeof(int32_t), bad);
  activations->starts5 = room(blocks, sizeof(int32_t), bad);
  activations->starts8 = room(blocks, sizeof(int32_t), bad);
  activations->starts6 = room(2 * blocks, sizeof(int32_t), bad);
}

static void free_activations(EspActivations *activations) {
  esp_free(activations->quants);
  esp_free(activations->scales);
  esp_free(activations->masses);
  esp_free(activations->starts4);
  esp_free(activations->starts5);
  esp_free(activations->starts8);
  esp_free(activations->starts6);
}

static void find_frequencies(EspStack *stack) {
  const EspStackSpec *spec = &stack->spec;
  double *to = stack->frequencies;
  for (int32_t r = 0; r < spec->ropes; r++) {
    const EspRope *rope = &spec->rope[r];
    for (int32_t i = 0; i < spec->rope_dims / 2; i++) {
      *to++ = esp_exp(-2.0 * i / spec->rope_dims * esp_log(rope->base)) / (rope->factors ? (double)rope->factors[i] : 1);
    }
  }
}

static size_t padded(int32_t rows) { return ((size_t)rows + ESP_GROUP - 1) / ESP_GROUP * ESP_GROUP; }

/* A vector of a specification that is there or not. */
typedef struct {
  const float **at;
  int32_t size;
} Vector;

/* Room for the vectors that are there, zeros behind each up to a whole group; with `to`, they are copied and used from there. */
static size_t copy_vectors(const Vector *vectors, size_t count, float *to) {
  size_t all = 0;
  for (size_t i = 0; i < count; i++) {
    if (!*vectors[i].at) continue;
    if (to) *vectors[i].at = memcpy(to + all, *vectors[i].at, (size_t)vectors[i].size * sizeof *to);
    all += padded(vectors[i].size);
  }
  return all;
}

/* The vectors of a specification may come from memory that the caller frees. */
static size_t copy_all_vectors(EspStackSpec *spec, EspLayer *layers, float *to) {
  const int32_t hidden = spec->hidden, query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const Vector own[] = {
      {&spec->final_norm, hidden},
      {&spec->token_norm, hidden},
      {&spec->feature_norm, hidden},
      {&spec->fuse_norm, spec->fuse ? spec->fuse->cols : hidden},
      {&spec->join_bias, hidden},
  };
  size_t all = copy_vectors(own, sizeof own / sizeof *own, to);
  for (int32_t i = 0; i < spec->ropes; i++) {
    const Vector factors = {&spec->rope[i].factors, spec->rope_dims / 2};
    all += copy_vectors(&factors, 1, to ? to + all : NULL);
  }
  for (int32_t i = 0; i < spec->layers; i++) {
    EspLayer *layer = &layers[i];
    const Vector vectors[] = {
        {&layer->attention_norm, hidden},        {&layer->feed_norm, hidden},
        {&layer->query_bias, query},             {&layer->key_bias, key},
        {&layer->value_bias, key},               {&layer->query_norm, spec->head_size},
        {&layer->key_norm, spec->head_size},     {&layer->attention_post_norm, hidden},
        {&layer->feed_post_norm, hidden},
    };
    all += copy_vectors(vectors, sizeof vectors / sizeof *vectors, to ? to + all : NULL);
  }
  return all;
}

EspStack *esp_stack_create(const EspStackSpec *spec, EspPool *pool, const char **message) {
  *message = contradiction(spec);
  if (*message) return NULL;
  *message = "no memory for the stack";
  EspStack *stack = esp_alloc(sizeof *stack);
  if (!stack) return NULL;
  bool bad = false;
  const size_t rows = ESP_MAX_NODES, threads = (size_t)esp_pool_threads(pool);
  const int32_t query = spec->heads * spec->head_size, key = spec->kv_heads * spec->head_size;
  const int32_t widest = spec->hidden > query ? spec->hidden : query;
  stack->spec = *spec;
  stack->pool = pool;
  stack->layer = esp_alloc((size_t)spec->layers * sizeof *stack->layer);
  stack->frequencies = esp_alloc((size_t)spec->ropes * (size_t)spec->rope_dims / 2 * sizeof *stack->frequencies);
  if (stack->layer) {
    memcpy(stack->layer, spec->layer, (size_t)spec->layers * sizeof *stack->layer);
    stack->vectors = room(copy_all_vectors(&stack->spec, stack->layer, NULL), sizeof(float), &bad);
  }
  if (stack->layer && stack->frequencies && stack->vectors) {
    copy_all_vectors(&stack->spec, stack->layer, stack->vectors);
    find_frequencies(stack);
  } else {
    bad = true;
  }
  stack->spec.layer = stack->layer;
  stack->qkv_stride = padded(query) + 2 * padded(key);
  stack->product_stride = padded(spec->hidden);
  stack->feed_stride = padded(spec->feed);
  stack->logits_stride = padded(spec->vocab) + (spec->others ? ESP_MAX_MORE : 0);
  stack->x = room(rows * (size_t)spec->hidden, sizeof(float), &bad);
  stack->qkv = room(rows * stack->qkv_stride, sizeof(float), &bad);
  stack->product = room(rows * stack->product_stride, sizeof(float), &bad);
  stack->gate = room(rows * stack->feed_stride, sizeof(float), &bad);
  stack->up = room(rows * stack->feed_stride, sizeof(float), &bad);
  stack->cosines = room((size_t)spec->ropes * rows * (size_t)spec->rope_dims, sizeof(float), &bad);
  stack->sines = room((size_t)spec->ropes * rows * (size_t)spec->rope_dims, sizeof(float), &bad);
  make_activations(&stack->hidden_in, ESP_MAX_NODES, spec->hidden, &bad);
  make_activations(&stack->attended_in, ESP_MAX_NODES, query, &bad);
  make_activations(&stack->feed_in, ESP_MAX_NODES, spec->feed, &bad);
  if (is_draft_head(spec)) make_activations(&stack->join_in, ESP_MAX_NODES, 2 * spec->hidden, &bad);
  if (spec->fuse) make_activations(&stack->fuse_in, ESP_MAX_NODES, spec->fuse->cols, &bad);
  for (size_t i = 0; i < threads; i++) make_activations(&stack->own_in[i], OWN_ROWS, widest, &bad);
  stack->normed_size = (size_t)widest;
  if (is_draft_head(spec) && 2 * (size_t)spec->hidden > stack->normed_size) stack->normed_size = 2 * (size_t)spec->hidden;
  if (spec->fuse && (size_t)spec->fuse->cols > stack->normed_size) stack->normed_size = (size_t)spec->fuse->cols;
  stack->normed = room(threads * stack->normed_size, sizeof(float), &bad);
  stack->scratch_size = ESP_QUERIES * (2 * (size_t)ESP_SPAN + 2 * (size_t)spec->head_size);
  stack->scratch = room(threads * stack->scratch_size, sizeof(float), &bad);
  if (spec->head) {
    const size_t chunks = (size_t)chunks_of((int32_t)(stack->logits_stride / ESP_GROUP));
    stack->chunk_maxima = room(rows * chunks, sizeof(float), &bad);
    stack->chunk_sums = room(rows * chunks, sizeof(float), &bad);
  }
  if (spec->others) {
    stack->more = *spec->others;
    stack->more.rows = ESP_MAX_MORE;
    stack->more.groups = ESP_MAX_MORE / ESP_GROUP;
    stack->more.data = room((size_t)stack->more.groups, stack->more.group_bytes, &bad);
    stack->more_rows = room(ESP_MAX_MORE, sizeof *stack->more_rows, &bad);
    for (int32_t i = 0; stack->more_rows && i < ESP_MAX_MORE; i++) stack->more_rows[i] = -1;
  }
  if (bad) {
    esp_stack_free(stack);
    return NULL;
  }
  *message = NULL;
  return stack;
}

const EspStackSpec *esp_stack_spec(const EspStack *stack) { return &stack->spec; }

EspPool *esp_stack_pool(const EspStack *stack) { return stack->pool; }

void esp_stack_free(EspStack *stack) {
  if (!stack) return;
  void *owned[] = {stack->vectors,      stack->layer,        stack->frequencies, stack->x,           stack->qkv,         stack->product,
                   stack->gate,         stack->up,          stack->cosines,     stack->sines,       stack->normed,
                   stack->scratch,      stack->span_outputs, stack->span_maxima, stack->span_sums,  stack->logits,
                   stack->chunk_maxima, stack->chunk_sums,  stack->jobs,        stack->more.data,   stack->more_rows};
  for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) esp_free(owned[i]);
  free_activations(&stack->hidden_in);
  free_activations(&stack->attended_in);
  free_activations(&stack->feed_in);
  free_activations(&stack->join_in);
  free_activations(&stack->fuse_in);
  for (int i = 0; i < ESP_MAX_THREADS; i++) free_activations(&stack->own_in[i]);
  esp_free(stack);
}
