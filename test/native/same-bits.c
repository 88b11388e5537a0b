/*
 * same-bits.c - what every instruction set of this build computes, as checksums: a program of its own, so that it runs
 * wherever the engine does, also built for another CPU and in an emulator. A line is "instruction set, part, checksum"; equal
 * checksums of a part mean equal bits, on this machine and on any other. scripts/test-isa.mjs builds, runs and compares.
 */
#include "../../native/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void must(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "same-bits: %s\n", what);
  exit(2);
}

static void *room(size_t count, size_t size) {
  void *memory = calloc(count ? count : 1, size);
  must(memory != NULL, "no memory");
  return memory;
}

/* ---- random numbers, the same on every machine (splitmix64) -------------------------------------------------------- */

static uint64_t state;

static uint64_t next(void) {
  uint64_t z = state += 0x9e3779b97f4a7c15u;
  z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
  z = (z ^ z >> 27) * 0x94d049bb133111ebu;
  return z ^ z >> 31;
}
static int32_t below(int32_t limit) { return (int32_t)(next() % (uint64_t)limit); }
/* In [-1, 1). */
static float real(void) { return (float)((int32_t)(next() >> 40) - (1 << 23)) / (float)(1 << 23); }
static float *reals(size_t count, float scale) {
  float *values = room(count, sizeof *values);
  for (size_t i = 0; i < count; i++) values[i] = real() * scale;
  return values;
}

/* ---- checksums (FNV-1a) --------------------------------------------------------------------------------------------- */

static uint64_t sum;

static void count_in(const void *bytes, size_t size) {
  for (size_t i = 0; i < size; i++) sum = (sum ^ ((const uint8_t *)bytes)[i]) * 0x100000001b3u;
}
static void begin(uint64_t seed) {
  state = seed;
  sum = 0xcbf29ce484222325u;
}
static void print_part(const char *part) { printf("%s\t%s\t%016llx\n", esp_isa_current(), part, (unsigned long long)sum); }

/* ---- kernels that need no matrix ------------------------------------------------------------------------------------ */

static float of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static void test_exp(const EspKernels *kernels) {
  for (uint64_t bits = 0; bits < 1ull << 32; bits += 50021) {
    const float x = of_bits((uint32_t)bits);
    if (isnan(x)) continue;
    const float e = kernels->exp_one(x);
    count_in(&e, sizeof e);
  }
}

static void test_fix(const EspKernels *kernels) {
  for (uint64_t bits = 0; bits < 1ull << 32;) {
    float x[32];
    int16_t fixed[32];
    const float near = ldexpf(1, below(60) - 30);
    for (int i = 0; i < 32; i++, bits += 8111) x[i] = i % 4 ? of_bits((uint32_t)bits) : real() * near;
    for (int coarse = 0; coarse < 2; coarse++) {
      const float scale = kernels->fix(x, fixed, 32, 8191, coarse);
      count_in(&scale, sizeof scale);
      count_in(fixed, sizeof fixed);
    }
  }
}

static void test_rows(const EspKernels *kernels) {
  for (int round = 0; round < 60; round++) {
    const int32_t size = 32 * (1 + below(20));
    const float scale = ldexpf(1, below(60) - 30);
    float *x = reals((size_t)size, scale), *y = reals((size_t)size, 8), *out = room((size_t)size, sizeof *out);
    if (round % 5 == 0) memset(x, 0, (size_t)size * sizeof *x);
    kernels->rms_norm(x, y, out, size, 1e-5f);
    count_in(out, (size_t)size * sizeof *out);
    kernels->add(out, y, size);
    count_in(out, (size_t)size * sizeof *out);
    kernels->silu_times(y, x, size);
    count_in(y, (size_t)size * sizeof *y);
    kernels->gelu_times(out, x, size);
    count_in(out, (size_t)size * sizeof *out);
    kernels->soft_cap(x, size, 30);
    count_in(x, (size_t)size * sizeof *x);
    float largest, total;
    kernels->chunk_softmax(y, 1 + below(size), &largest, &total);
    count_in(&largest, sizeof largest);
    count_in(&total, sizeof total);
    free(x), free(y), free(out);
  }
}

static void test_join(const EspKernels *kernels) {
  for (int round = 0; round < 40; round++) {
    const int32_t spans = 1 + below(6), head = 32 * (1 + below(4));
    float *outputs = reals((size_t)(spans * head), 4), *maxima = reals((size_t)spans, 20), *sums = reals((size_t)spans, 1);
    float out[128];
    for (int32_t i = 0; i < spans; i++) sums[i] = 1 + fabsf(sums[i]);
    kernels->join(out, outputs, maxima, sums, spans, head);
    count_in(out, (size_t)head * sizeof *out);
    free(outputs), free(maxima), free(sums);
  }
}

/* Where a top-p begins to keep what is picked without one, which tells the bits of its sums. */
static void count_border(const EspKernels *kernels, const float *logits, int32_t size, int32_t top, EspPick rule) {
  const uint32_t key = (uint32_t)next();
  rule.top_p = 1;
  const int32_t token = kernels->pick(logits, size, top, key, &rule);
  double without = 0, within = 1;
  for (int i = 0; i < 40; i++) {
    rule.top_p = (without + within) / 2;
    if (kernels->pick(logits, size, top, key, &rule) == token) within = rule.top_p;
    else without = rule.top_p;
  }
  count_in(&within, sizeof within);
}

/* Rows of all sizes, shapes and scales, with ties and with what is no number. */
static void test_pick(const EspKernels *kernels) {
  static const double scales[] = {1e-3, 0.3, 1, 1.25, 7, 1e30, 1e60, INFINITY}, tops[] = {1, 0.95, 0.5, 0.1, 1e-9};
  for (int round = 0; round < 4000; round++) {
    const int32_t size = 1 + below(round % 8 ? 700 : 3000);
    float *logits = reals((size_t)size + 16, ldexpf(1, below(14) - 4));
    const int kind = below(8);
    for (int32_t i = 0; i < size; i++) {
      if (kind == 0) logits[i] = roundf(logits[i]);
      if (kind == 1) logits[i] = 3;
      if (kind == 2 && below(3)) logits[i] = -INFINITY;
      if (kind == 3 && below(9) == 0) logits[i] = below(2) ? NAN : logits[i] * 1e38f;
    }
    int32_t top = 0;
    for (int32_t i = 1; i < size; i++) top = logits[i] > logits[top] ? i : top;
    EspPick rule = {.scale = scales[below(8)]};
    rule.reach = below(2) ? INFINITY : below(5);
    rule.top_p = tops[below(5)];
    const int32_t token = kernels->pick(logits, size, top, (uint32_t)next(), &rule);
    must(token >= 0 && token < size, "a pick outside the row");
    count_in(&token, sizeof token);
    if (round % 16 == 0) count_border(kernels, logits, size, top, rule);
    free(logits);
  }
}

static void test_rank(const EspKernels *kernels) {
  static const double scales[] = {1e-3, 0.3, 1, 1.25, 7, 1e30, 1e60, INFINITY};
  for (int round = 0; round < 4000; round++) {
    const int32_t size = 1 + below(700), kind = below(4);
    float *logits = reals((size_t)size + 16, ldexpf(1, below(14) - 4));
    int32_t *ids = room((size_t)size, sizeof *ids), rows[64];
    float most = -INFINITY;
    for (int32_t i = 0; i < size; i++) {
      ids[i] = below(60000);
      if (kind == 0) logits[i] = 3;
      if (kind == 1 && below(9) == 0) logits[i] = below(2) ? NAN : -INFINITY;
      most = logits[i] > most ? logits[i] : most;
    }
    EspRanking ranking = {.key = (uint32_t)next(), .scale = scales[below(8)], .most = 1 + below(size < 64 ? size : 64), .rows = rows};
    const int32_t first = below(size);
    kernels->rank(logits, ids, first, 0, most, &ranking);
    kernels->rank(logits + first, ids + first, size - first, first, most, &ranking);
    esp_rank_others(&ranking);
    for (int32_t k = 0; k < ranking.most; k++) must(rows[k] >= 0 && rows[k] < size, "a rank outside the row");
    count_in(rows, (size_t)ranking.most * sizeof *rows);
    free(logits), free(ids);
  }
}

/* ---- matrices -------------------------------------------------------------------------------------------------------- */

/* Blocks as GGUF stores them: where the 16-bit scales lie, so that random ones are ordinary numbers. */
typedef struct {
  int32_t type;
  const char *name;
  int32_t inputs, bytes;
  int32_t scale, min; /* offsets; -1: none */
} Kind;

static const Kind kinds[] = {
    {0, "F32", 1, 4, -1, -1},      {1, "F16", 1, 2, -1, -1},      {2, "Q4_0", 32, 18, 0, -1},   {3, "Q4_1", 32, 20, 0, 2},
    {6, "Q5_0", 32, 22, 0, -1},    {7, "Q5_1", 32, 24, 0, 2},     {8, "Q8_0", 32, 34, 0, -1},   {10, "Q2_K", 256, 84, 80, 82},
    {11, "Q3_K", 256, 110, 108, -1}, {12, "Q4_K", 256, 144, 0, 2}, {13, "Q5_K", 256, 176, 0, 2}, {14, "Q6_K", 256, 210, 208, -1},
    {20, "IQ4_NL", 32, 18, 0, -1}, {30, "BF16", 1, 2, -1, -1},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* A half between 2^-7 and 2^-4, of either sign. */
static void put_scale(uint8_t *to, uint32_t exponent) {
  const uint16_t half = (uint16_t)((next() & 0x8000) | (exponent + (uint64_t)below(3)) << 10 | (next() & 0x3ff));
  memcpy(to, &half, sizeof half);
}

static void random_block(const Kind *kind, uint8_t *to) {
  for (int32_t i = 0; i < kind->bytes; i++) to[i] = (uint8_t)next();
  const float value = real();
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (kind->type == 0) memcpy(to, &bits, 4);
  if (kind->type == 30) memcpy(to, (const uint16_t[]){(uint16_t)(bits >> 16)}, 2);
  if (kind->type == 1) put_scale(to, 12);
  const bool nested = kind->inputs == 256; /* quants there are multiplied by a code of up to 6 bits too */
  if (kind->scale >= 0) put_scale(to + kind->scale, nested ? 2 : 8);
  if (kind->min >= 0) put_scale(to + kind->min, nested ? 2 : 8);
}

static EspMatrix *random_matrix(EspArena *arena, const Kind *kind, int32_t rows, int32_t cols) {
  EspMatrix *matrix = esp_matrix_create(arena, kind->type, false, rows, cols);
  must(matrix != NULL, "a matrix could not be made");
  const size_t row_bytes = esp_matrix_row_bytes(kind->type, cols);
  must(row_bytes == (size_t)(cols / kind->inputs * kind->bytes), "a row has another size than expected");
  uint8_t *bytes = room((size_t)rows, row_bytes);
  for (size_t at = 0; at < (size_t)rows * row_bytes; at += (size_t)kind->bytes) random_block(kind, bytes + at);
  must(esp_matrix_fill(matrix, 0, rows, bytes), "a matrix could not be filled");
  free(bytes);
  return matrix;
}

/* ---- random stacks ---------------------------------------------------------------------------------------------------- */

typedef struct {
  int32_t hidden, feed, heads, kv_heads, head_size, vocab, text; /* text: tokens to read before trees */
  bool neox;
  bool all_parts; /* biases, norms of heads and of sums, a window, caps and whatever else only some architectures have */
} Shape;

enum { LAYERS = 2 };

typedef struct {
  Shape shape;
  EspArena *arena;
  EspPool *pool;
  EspStack *stack;
} Model;

static Model make_model(const Kind *kind, Shape shape, int threads) {
  Model model = {.shape = shape, .arena = esp_arena_create((size_t)16 << 20), .pool = esp_pool_create(threads)};
  must(model.arena && model.pool, "no memory for a model");
  const int32_t hidden = shape.hidden, query = shape.heads * shape.head_size, key = shape.kv_heads * shape.head_size;
  EspLayer layers[LAYERS];
  float *norms[2 * LAYERS + 1];
  for (int i = 0; i <= 2 * LAYERS; i++) norms[i] = reals((size_t)hidden, 2);
  float *part = reals((size_t)(hidden > query ? hidden : query), 1), factors[128];
  for (int i = 0; i < 128; i++) factors[i] = 1 + fabsf(real());
  for (int i = 0; i < LAYERS; i++) {
    layers[i] = (EspLayer){
        .attention_norm = norms[2 * i],
        .feed_norm = norms[2 * i + 1],
        .query = random_matrix(model.arena, kind, query, hidden),
        .key = random_matrix(model.arena, kind, key, hidden),
        .value = random_matrix(model.arena, kind, key, hidden),
        .output = random_matrix(model.arena, kind, hidden, query),
        .gate = random_matrix(model.arena, kind, shape.feed, hidden),
        .up = random_matrix(model.arena, kind, shape.feed, hidden),
        .down = random_matrix(model.arena, kind, hidden, shape.feed),
    };
    if (!shape.all_parts) continue;
    layers[i].query_bias = layers[i].key_bias = layers[i].value_bias = part;
    layers[i].query_norm = layers[i].key_norm = part;
    layers[i].attention_post_norm = layers[i].feed_post_norm = part;
    layers[i].rope = i;
    layers[i].window = i == 0 ? 50 : 0;
  }
  const EspMatrix *embedding = random_matrix(model.arena, kind, shape.vocab, hidden);
  EspStackSpec spec = {
      .layers = LAYERS,
      .hidden = hidden,
      .feed = shape.feed,
      .heads = shape.heads,
      .kv_heads = shape.kv_heads,
      .head_size = shape.head_size,
      .vocab = shape.vocab,
      .rope_dims = shape.head_size,
      .rope_neox = shape.neox,
      .ropes = 1,
      .rope = {{.base = 10000, .amplitude = 1}},
      .norm_epsilon = 1e-5f,
      .embedding_scale = 1,
      .attention_scale = 1 / sqrtf((float)shape.head_size),
      .layer = layers,
      .final_norm = norms[2 * LAYERS],
      .embedding = embedding,
      .head = embedding,
  };
  if (shape.all_parts) {
    spec.ropes = 2;
    spec.rope[1] = (EspRope){.base = 500, .factors = factors, .amplitude = 1.2f};
    spec.activation = ESP_GELU;
    spec.embedding_scale = sqrtf((float)hidden);
    spec.attention_cap = 5;
    spec.logit_cap = 20;
  }
  const char *message;
  model.stack = esp_stack_create(&spec, model.pool, &message);
  must(model.stack != NULL, message);
  for (int i = 0; i <= 2 * LAYERS; i++) free(norms[i]);
  free(part);
  return model;
}

static void free_model(Model *model) {
  esp_stack_free(model->stack);
  esp_pool_free(model->pool);
  esp_arena_free(model->arena);
}

/* ---- passes ----------------------------------------------------------------------------------------------------------- */

enum { TOP = 8 };

/* Runs a pass and counts in all that it can tell. */
static void run(const Model *model, const EspTree *trees, int32_t count, int32_t from, const float *input) {
  int32_t rows = 0;
  for (int32_t t = 0; t < count; t++) rows += trees[t].size;
  const size_t width = (size_t)model->shape.hidden, vocab = (size_t)model->shape.vocab, n = (size_t)rows;
  const int32_t taps[] = {from, LAYERS};
  const EspPass pass = {
      .trees = trees,
      .tree_count = count,
      .from = from,
      .to = LAYERS,
      .input = input,
      .top_k = TOP,
      .top_tokens = room(n * TOP, sizeof(int32_t)),
      .top_log_probs = room(n * TOP, sizeof(float)),
      .picks = room(n, sizeof(int32_t)),
      .penalised_k = TOP,
      .penalised_tokens = room(n * TOP, sizeof(int32_t)),
      .penalised_logits = room(n * TOP, sizeof(float)),
      .logits = room(n * vocab, sizeof(float)),
      .taps = taps,
      .tap_count = 2,
      .hidden = room(2 * n * width, sizeof(float)),
  };
  const char *message;
  must(esp_forward(model->stack, &pass, &message) == ESP_OK, "a pass failed");
  for (size_t i = 0; i < n * vocab; i++) must(isfinite(pass.logits[i]), "a logit is not finite: the test means nothing");
  count_in(pass.top_tokens, n * TOP * sizeof(int32_t));
  count_in(pass.top_log_probs, n * TOP * sizeof(float));
  count_in(pass.picks, n * sizeof(int32_t));
  count_in(pass.penalised_tokens, n * TOP * sizeof(int32_t));
  count_in(pass.penalised_logits, n * TOP * sizeof(float));
  count_in(pass.logits, n * vocab * sizeof(float));
  count_in(pass.hidden, 2 * n * width * sizeof(float));
  free(pass.top_tokens), free(pass.top_log_probs), free(pass.picks), free(pass.penalised_tokens), free(pass.penalised_logits), free(pass.logits), free(pass.hidden);
}

enum { PENALISED = 40 };

typedef struct {
  int32_t tokens[ESP_MAX_NODES], parents[ESP_MAX_NODES];
  int32_t before[PENALISED], generated[PENALISED]; /* of the text */
} Nodes;

/* A chain, or a tree whose nodes stand behind any earlier one. */
static EspTree random_tree(Nodes *nodes, EspCache *cache, int32_t size, int32_t vocab, bool chain) {
  for (int32_t i = 0; i < size; i++) {
    nodes->tokens[i] = below(vocab);
    nodes->parents[i] = i == 0 ? -1 : chain ? i - 1 : below(i);
  }
  EspPick pick = {.seed = (uint32_t)next()};
  pick.scale = below(4);
  pick.reach = below(2) ? INFINITY : below(5);
  pick.top_p = below(2) ? 1 : 0.7;
  EspPenalties penalties = {.tokens = nodes->before, .generated = nodes->generated, .count = below(vocab < PENALISED ? vocab : PENALISED)};
  penalties.repetition = 0.5 * below(4);
  penalties.frequency = 0.3 * (below(5) - 2);
  penalties.presence = 0.7 * (below(3) - 1);
  const int32_t first = below(vocab);
  for (int32_t i = 0; i < penalties.count; i++) {
    nodes->before[i] = (first + i) % vocab;
    nodes->generated[i] = below(4);
  }
  return (EspTree){.cache = cache, .tokens = nodes->tokens, .parents = nodes->parents, .size = size, .pick = pick, .penalties = penalties};
}

/* The head's product alone, of rows of any size up to 20 and of any magnitude. */
static void test_head(const Model *model) {
  EspCache *cache = esp_cache_create(model->stack, 64, true);
  must(cache != NULL, "no memory for a cache");
  for (int32_t rows = 1; rows <= 20; rows++) {
    Nodes nodes;
    const EspTree tree = random_tree(&nodes, cache, rows, model->shape.vocab, false);
    float *input = reals((size_t)(rows * model->shape.hidden), ldexpf(1, below(40) - 20));
    for (int32_t i = 0; i < 32; i++) input[i] = 0;
    run(model, &tree, 1, LAYERS, input);
    esp_cache_rollback(cache);
    free(input);
  }
  esp_cache_free(cache);
}

/* Two texts, read in chunks and then by trees, one commit between them. */
static void test_texts(const Model *model, bool half) {
  const int32_t length = model->shape.text, vocab = model->shape.vocab;
  EspCache *caches[2] = {esp_cache_create(model->stack, 400, half), esp_cache_create(model->stack, 400, half)};
  must(caches[0] && caches[1], "no memory for a cache");
  for (int32_t done = 0, chunk; done < length; done += chunk) {
    chunk = 1 + below(ESP_MAX_NODES / 2);
    if (chunk > length - done) chunk = length - done;
    Nodes nodes[2];
    const EspTree trees[2] = {random_tree(&nodes[0], caches[0], chunk, vocab, true),
                              random_tree(&nodes[1], caches[1], (chunk + 1) / 2, vocab, true)};
    run(model, trees, 2, 0, NULL);
    for (int32_t t = 0; t < 2; t++) {
      int32_t path[ESP_MAX_NODES];
      for (int32_t i = 0; i < trees[t].size; i++) path[i] = i;
      must(esp_cache_commit(caches[t], path, trees[t].size) == ESP_OK, "a commit failed");
    }
  }
  for (int32_t size = 1; size <= 24; size += 1 + size / 4) {
    Nodes nodes;
    const EspTree tree = random_tree(&nodes, caches[size % 2], size, vocab, false);
    run(model, &tree, 1, 0, NULL);
    if (size % 3 == 0) must(esp_cache_commit(caches[size % 2], (const int32_t[]){0}, 1) == ESP_OK, "a commit failed");
    else esp_cache_rollback(caches[size % 2]);
  }
  esp_cache_free(caches[0]);
  esp_cache_free(caches[1]);
}

/* Every kind of weights with one shape, and long texts with shapes of attention that kernels treat differently. */
static void test_stacks(void) {
  const Shape plain = {256, 512, 4, 2, 64, 300, 12, false, false};
  for (int i = 0; i < KINDS; i++) {
    if (esp_matrix_row_bytes(kinds[i].type, 256) == 0) continue;
    begin(100 + (uint64_t)i);
    Model model = make_model(&kinds[i], plain, 2);
    test_head(&model);
    test_texts(&model, true);
    print_part(kinds[i].name);
    free_model(&model);
  }
  const Shape shapes[] = {
      {96, 160, 3, 3, 32, 519, 290, false, false}, {192, 96, 6, 2, 96, 40, 270, true, false},
      {224, 96, 7, 1, 32, 100, 260, true, false},  {64, 64, 12, 1, 128, 33, 140, false, false},
      {64, 96, 2, 1, 256, 17, 135, true, false},   {96, 96, 4, 2, 32, 65, 300, true, true},
  };
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    begin(200 + i);
    Model model = make_model(&kinds[i % 2 ? 6 : 3], shapes[i], i % 3 ? 2 : 1);
    test_texts(&model, i % 2 == 0);
    char part[64];
    snprintf(part, sizeof part, "%s %d over %d of %d", shapes[i].all_parts ? "all parts" : "attention", shapes[i].heads,
             shapes[i].kv_heads, shapes[i].head_size);
    print_part(part);
    free_model(&model);
  }
}

static void test_kernels(void) {
  static const struct {
    const char *name;
    void (*test)(const EspKernels *);
  } tests[] = {{"exp", test_exp}, {"fix", test_fix}, {"rows", test_rows}, {"join", test_join}, {"pick", test_pick}, {"rank", test_rank}};
  for (size_t i = 0; i < sizeof tests / sizeof *tests; i++) {
    begin(i);
    tests[i].test(esp_kernels());
    print_part(tests[i].name);
  }
}

int main(void) {
  for (int i = 0; i < esp_isa_count(); i++) {
    if (!esp_isa_select(esp_isa_name(i))) {
      printf("%s\tabsent\n", esp_isa_name(i));
      continue;
    }
    test_kernels();
    test_stacks();
    fflush(stdout);
  }
  return 0;
}
