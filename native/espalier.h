/*
 * espalier.h - the engine's C API: decoder passes over token trees on a CPU.
 *
 * A Stack is a run of decoder layers with its weights. A Cache holds the keys and values of one text. A pass reads
 * one token tree per cache and gives one row per node. The invariant everything rests on: a row's bits depend on the
 * committed text and the node's ancestors alone, not on the other rows, the threads or the instruction set.
 *
 * Nothing here reads files, and nothing trusts its caller: sizes are checked where data enters.
 */
#ifndef ESPALIER_H
#define ESPALIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct EspPool EspPool;
typedef struct EspStack EspStack;
typedef struct EspCache EspCache;

typedef enum { ESP_OK = 0, ESP_ABORTED, ESP_INVALID, ESP_FULL, ESP_NO_MEMORY, ESP_CHANGED } EspStatus;

/* ---- threads.c ------------------------------------------------------------------------------------------------ */

enum { ESP_MAX_THREADS = 64 };

EspPool *esp_pool_create(int threads); /* NULL: no memory or no threads to be had */
void esp_pool_free(EspPool *pool);
int esp_pool_threads(const EspPool *pool);
/* How many of them pay at present: fewer than all while other programs keep the cores busy. */
int esp_pool_advise(EspPool *pool);
/*
 * Begins body(context, 0) on another thread of the pool, alone, while the caller goes on; false: no other thread pays at present, or it does something of
 * the kind already. Runs wait for its end, as esp_pool_end does.
 */
bool esp_pool_begin(EspPool *pool, void (*body)(void *context, int thread), void *context);
void esp_pool_end(EspPool *pool);
/* Runs body(context, thread) on `threads` threads, the calling one included, and returns when all are done. */
void esp_pool_run(EspPool *pool, int threads, void (*body)(void *context, int thread), void *context);
/* Runs body(context, 0) on the calling thread, whatever threads of pools do. */
void esp_run_alone(void (*body)(void *context, int thread), void *context);
/* To be called by every thread of a running body: returns when all have arrived. */
void esp_barrier(EspPool *pool);

/* ---- memory.c --------------------------------------------------------------------------------------------------- */

/* Bytes that are in use, and those of freed blocks that are kept for who asks next; of all that the engine has in this process. */
typedef struct {
  size_t used, kept;
} EspMemory;

/* False where nobody counts them. */
bool esp_memory(EspMemory *memory);

/* ---- matrix.c: weights ------------------------------------------------------------------------------------------ */

/* Kinds of weights as GGUF numbers them. */
enum {
  ESP_GGUF_F32 = 0, ESP_GGUF_F16 = 1, ESP_GGUF_Q4_0 = 2, ESP_GGUF_Q4_1 = 3, ESP_GGUF_Q5_0 = 6, ESP_GGUF_Q5_1 = 7,
  ESP_GGUF_Q8_0 = 8, ESP_GGUF_Q2_K = 10, ESP_GGUF_Q3_K = 11, ESP_GGUF_Q4_K = 12, ESP_GGUF_Q5_K = 13, ESP_GGUF_Q6_K = 14,
  ESP_GGUF_IQ4_NL = 20, ESP_GGUF_BF16 = 30
};

/* Rows of a matrix that lie side by side; a vector lane is a row. */
enum { ESP_GROUP = 16 };
/* Inputs of a block, and blocks that share a scale of the scales in the kinds called K. */
enum { ESP_BLOCK = 32, ESP_SUPER = 8 };

/*
 * rows x cols weights in groups of 16 rows. weight = scale * (quant - zero) + min; what of this a kind has tells formats.h. A group is one
 * stream of blocks of 32 inputs, read from its beginning to its end, because what fetches memory ahead follows one stream and loses its way between
 * several that lie a few KB apart. Of the blocks of a group two lie together, as one head and two bodies:
 *   head        of each of the two blocks the scales, then the minima: 16 halves each, in K kinds 1 or 2 x 16 signed bytes (codes)
 *   quants      of each of the two blocks its planes. Lane r of a 64-byte line is 4 bytes, one for each input of a "four" of row r:
 *     8 bits    512 bytes; line i is four i
 *     4 bits    256 bytes; line i has four 2i in its low and four 2i+1 in its high nibbles
 *     2 bits    128 bytes; line i has four 4i+k in bits 2k and 2k+1
 *     1 bit     64 bytes; four k in bit k
 *   Quants of 3, 5 and 6 bits are two planes, the low bits first.
 * In K kinds 64 bytes stand before every 8 blocks: 16 halves that their scale codes are to be multiplied by, and 16 for their min codes.
 */
typedef struct {
  int32_t rows, cols;
  int32_t source; /* ESP_GGUF_* as in the file */
  int32_t type; /* ESP_GGUF_* as in memory */
  int32_t groups; /* rows / 16, rounded up; missing rows are zero */
  int32_t blocks; /* cols / 32 */
  size_t group_bytes;
  uint8_t *data; /* groups x group_bytes, 64-byte aligned */
} EspMatrix;

/* Memory for the weights of a model, in large pages where the system has them: a pass reads all of it. */
typedef struct EspArena EspArena;
EspArena *esp_arena_create(size_t bytes); /* NULL: no memory */
void esp_arena_free(EspArena *arena);

size_t esp_matrix_row_bytes(int32_t source, int32_t cols); /* of a row in the file; 0: no such row */
/*
 * Weights keep their values, but those of 16 and 32 bits become 8-bit blocks; with four_bit, all that would have more than 4 bits in
 * memory becomes Q4_K.
 */
size_t esp_matrix_bytes(int32_t source, bool four_bit, int32_t rows, int32_t cols); /* of an arena that it takes; 0: bad sizes */
/* Lives in the arena and is freed with it. NULL: bad sizes, or the arena is full. */
EspMatrix *esp_matrix_create(EspArena *arena, int32_t source, bool four_bit, int32_t rows, int32_t cols);
/* Takes `rows` rows as they stand in the file; first must be a multiple of 16. False: out of range. */
bool esp_matrix_fill(EspMatrix *matrix, int32_t first, int32_t rows, const uint8_t *bytes);
/* Some rows of a matrix, as it has them: bytes of an arena, and the matrix. NULL: no such rows, or the arena is full. */
size_t esp_matrix_gathered_bytes(const EspMatrix *from, int32_t count);
EspMatrix *esp_matrix_gather(EspArena *arena, const EspMatrix *from, const int32_t *rows, int32_t count);
/* Copies a row from a matrix of the same kind and width; both rows must be there. */
void esp_matrix_copy_row(EspMatrix *to, int32_t to_row, const EspMatrix *from, int32_t from_row);

/* ---- dense.c: a layer of a small network beside a model --------------------------------------------------------- */

/* out (rows) = silu(matrix * x (cols) + bias (rows)), on the calling thread. False: no memory. */
bool esp_dense(const EspMatrix *matrix, const float *bias, const float *x, float *out);

/* ---- cache.c: keys and values of one text ----------------------------------------------------------------------- */

/* Keys and values as 16-bit integers with a scale each ("fixed"), or as 32-bit floats. NULL: no memory. */
EspCache *esp_cache_create(const EspStack *stack, int32_t capacity, bool fixed);
void esp_cache_free(EspCache *cache);
int32_t esp_cache_length(const EspCache *cache);
int32_t esp_cache_capacity(const EspCache *cache);
size_t esp_cache_bytes(const EspCache *cache); /* of memory: it grows with the text, and does not shrink */
/* Makes memory for a text of `length` positions ready, so that commits up to it cannot fail. False: no memory. */
bool esp_cache_reserve(EspCache *cache, int32_t length);
/* Reserves, and has the system bring all the memory, which takes it time when it is first touched. */
bool esp_cache_prepare(EspCache *cache, int32_t length);
/*
 * Keeps the pending rows of a path (node 0, then from parent to child) and drops the others. ESP_INVALID: not a path
 * whose rows are done; ESP_FULL: beyond the capacity; ESP_NO_MEMORY. Nothing changes unless it is ESP_OK.
 */
EspStatus esp_cache_commit(EspCache *cache, const int32_t *path, int32_t count);
/*
 * Keeps the pending nodes of a list in its order and drops the others: node i of the pending tree is then what nodes[i] was, as far as
 * layers have run. The root comes first, parents before their children. ESP_INVALID: no such list; ESP_NO_MEMORY. Nothing changes
 * unless it is ESP_OK.
 */
EspStatus esp_cache_arrange(EspCache *cache, const int32_t *nodes, int32_t count);
void esp_cache_rollback(EspCache *cache);
bool esp_cache_truncate(EspCache *cache, int32_t length);
/*
 * Makes a cache hold the first `length` positions of another one of such a stack, in place of all it held, but for the first `known`, which
 * it has from there already. ESP_INVALID: not alike, or no such lengths; ESP_FULL: beyond the capacity; ESP_NO_MEMORY. Nothing changes
 * unless it is ESP_OK.
 */
EspStatus esp_cache_copy(EspCache *cache, EspCache *from, int32_t known, int32_t length);
/*
 * Makes a cache hold `length` positions of no text, in place of all it held, in its first `layers` layers alone: for timing passes through these
 * behind a text that nobody has read. Passes through more layers are refused until it is empty again. ESP_INVALID: no such length or layers;
 * ESP_FULL: beyond the capacity; ESP_NO_MEMORY. Nothing changes unless it is ESP_OK.
 */
EspStatus esp_cache_fill(EspCache *cache, int32_t layers, int32_t length);

/* ---- stack.c, pass.c: a stack, and the pass --------------------------------------------------------------------- */

enum { ESP_MAX_NODES = 128, ESP_MAX_TOP_K = 256, ESP_MAX_TREES = 64, ESP_MAX_MORE = 512 };

/* How positions turn queries and keys (arXiv:2104.09864): pair i by position * base^(-2 * i / rope_dims) / factors[i]. */
typedef struct {
  double base;
  const float *factors; /* rope_dims / 2, each 1/16 to 65536; NULL: all 1; copied */
  float amplitude; /* what turned values are multiplied by, up to 16; 1 in most models */
} EspRope;

enum { ESP_MAX_ROPES = 4 };

/* What opens the feed-forward's gate: SiLU, or GELU in its tanh form. */
typedef enum { ESP_SILU, ESP_GELU } EspActivation;

typedef struct {
  const float *attention_norm, *feed_norm; /* hidden; copied; a draft head may be without the first */
  const EspMatrix *query, *key, *value, *output; /* [heads*head, hidden], [kv*head, hidden] x 2, [hidden, heads*head] */
  const EspMatrix *gate, *up, *down; /* [feed, hidden] x 2, [hidden, feed] */
  /* Parts that only some architectures have; NULL: none. Copied. */
  const float *query_bias, *key_bias, *value_bias; /* as many as the product has rows */
  const float *query_norm, *key_norm; /* head: every head's query and key is normed before it turns */
  const float *attention_post_norm, *feed_post_norm; /* hidden: what attention and feed-forward add is normed first */
  int32_t rope; /* which of the stack's ropes */
  int32_t window; /* positions that a token sees, itself included; 0: all */
} EspLayer;

typedef struct {
  int32_t layers, hidden, feed, heads, kv_heads, head_size, vocab;
  int32_t rope_dims;
  bool rope_neox; /* pairs (i, i + dims/2) instead of (2i, 2i+1) */
  int32_t ropes; /* 1 to ESP_MAX_ROPES */
  EspRope rope[ESP_MAX_ROPES];
  float norm_epsilon;
  EspActivation activation;
  float embedding_scale; /* of embedded tokens; 1 in most models */
  float attention_scale; /* of query times key; 1 / sqrt(head_size) in most models */
  float attention_cap, logit_cap; /* a score or logit x becomes cap * tanh(x / cap); 0: it stays */
  const EspLayer *layer; /* layers; copied */
  const float *final_norm; /* hidden, copied; NULL: the stack ends without norm and head */
  const EspMatrix *embedding; /* [tokens, hidden], as many tokens as the vocabulary in a decoder; NULL: rows come in as hidden states */
  const EspMatrix *head; /* [vocab, hidden] or NULL; may be the embedding */
  const EspMatrix *others; /* [tokens, hidden]: rows that a pass may put behind the head's, whose vocab is then a multiple of 16; or NULL */
  /*
   * A draft head's input (EAGLE): a row is a token and a feature, each normed, and join makes one hidden state of the two. Features of the
   * target may first be fused: its hidden states are normed, and fuse makes one of them. Norms that are NULL are left out. All NULL in a
   * decoder.
   */
  const EspMatrix *join; /* [hidden, 2 * hidden] */
  const float *join_bias; /* hidden; copied; NULL: none */
  bool wide; /* instead of join (EAGLE-3): the one layer's query, key and value read token and feature side by side, and add to the feature */
  const float *token_norm, *feature_norm; /* hidden; copied */
  const EspMatrix *fuse; /* [hidden, parts * hidden], parts 1 to 8; NULL: one part, normed alone */
  const float *fuse_norm; /* parts * hidden; copied */
} EspStackSpec;

/* NULL with a message when the shapes contradict each other. The matrices must outlive the stack. */
EspStack *esp_stack_create(const EspStackSpec *spec, EspPool *pool, const char **message);
void esp_stack_free(EspStack *stack);
const EspStackSpec *esp_stack_spec(const EspStack *stack);
EspPool *esp_stack_pool(const EspStack *stack);

/*
 * A token that is picked out of each row by noise (Gumbel-max): a sample of the softmax of logits * scale, among tokens at most `reach` below the
 * best and among the likeliest that have `top_p` of it together. The noise is looked up by seed, position and token.
 */
typedef struct {
  uint32_t seed;
  double scale; /* 0: none is picked */
  double reach; /* of logits * scale; at least 0 */
  double top_p; /* above 0; from 1 on all */
  int32_t ahead; /* positions of the text before that of the cache's first row */
} EspPick;

/*
 * How tokens of the text change logits before one is picked. Each such logit is divided by `repetition`, or multiplied where it is not above 0; once
 * generated, `presence` is taken from it, and `frequency` for every time.
 */
typedef struct {
  double repetition; /* above 0; 0: no penalties */
  double frequency, presence;
  /* The text up to and with the tree's root; a row's nodes behind the root were generated as well. */
  const int32_t *tokens; /* count, none twice */
  const int32_t *generated; /* count: how often each was generated, 0 for what only the prompt has */
  int32_t count;
} EspPenalties;

/* Candidate continuations of one text. parents[0] = -1, parents[i] < i. */
typedef struct {
  EspCache *cache;
  const int32_t *tokens, *parents;
  int32_t size;
  int32_t first; /* rows before it are pending already, from earlier passes over the same tree */
  EspPick pick; /* out of penalised logits, if there are penalties */
  EspPenalties penalties;
} EspTree;

typedef struct {
  const EspTree *trees;
  int32_t tree_count;
  int32_t from, to; /* layers [from, to) */
  const float *input; /* rows x hidden: hidden states, or features with join; NULL: embed the tokens */
  bool fuse; /* input is rows x parts * hidden, to be fused */
  bool alone; /* on the calling thread, without the pool */
  bool last_only; /* behind the keys and values of layer to - 1 goes the last row of each tree alone: one output row a tree, and one a tree in a tap after `to` */
  const int32_t *more; /* rows of `others` that the head has in this pass: tokens from vocab on, in this order */
  int32_t more_count; /* up to ESP_MAX_MORE */
  int32_t top_k; /* 0: none */
  int32_t *top_tokens; /* output rows x top_k */
  const int32_t *ids; /* vocab: the target's tokens that a draft head's rows are of. Lists are then of the best logit and noise together, by tree.pick; or NULL */
  float *top_log_probs; /* output rows x top_k */
  int32_t *picks; /* output rows, -1 where none is picked; or NULL. Asks for top_k of at least 1, and no `more` */
  float *logits; /* output rows x vocab, without those of `more`; or NULL */
  /* The best of the rows that have penalties, then. All else but picks is of logits as they were. */
  int32_t penalised_k; /* 0: none; asks for top_k of at least 1, and no `more` or `ids` */
  int32_t *penalised_tokens; /* output rows x penalised_k */
  float *penalised_logits;
  const int32_t *taps; /* layers whose output is wanted: 0 the embedding, i after layer i */
  int32_t tap_count;
  float *hidden; /* tap_count x rows x hidden; with last_only, the first tree_count rows of a tap after `to` are those */
  atomic_int *abort; /* nonzero stops between layers; may be NULL */
} EspPass;

/* Runs the pass on the threads of the pool that pay at present. Rows stay pending in their caches until commit or rollback. */
EspStatus esp_forward(EspStack *stack, const EspPass *pass, const char **message);

/* ---- chain.c ---------------------------------------------------------------------------------------------------- */

enum { ESP_CHAIN_ODDS = 16 };

/* How far a chain goes on: `value` is the product of its tokens' chances, and the next level is expected to add `value` times the newest one's chance. */
typedef struct {
  int32_t levels; /* at most */
  double worth; /* what the next level must add more than; at least 0 */
  const double *odds; /* the chance of a token by its probability, in ESP_CHAIN_ODDS classes of equal width; NULL: that is its chance */
} EspChain;

/*
 * A pass over one tree with last_only, and then one over the likeliest token of the row before, up to `levels` times. Lists have room for 1 + chain->levels
 * rows; `levels`: how many follow the first. All rows stay pending, each new one the child of the one before.
 */
EspStatus esp_forward_chain(EspStack *stack, const EspPass *pass, const EspChain *chain, int32_t *levels, const char **message);

/* ---- dispatch.c: instruction sets ------------------------------------------------------------------------------- */

int esp_isa_count(void); /* those compiled in */
const char *esp_isa_name(int index); /* best first */
bool esp_isa_usable(int index); /* does this CPU have it? */
const char *esp_isa_current(void);
bool esp_isa_select(const char *name); /* false: unknown or not usable; call before passes, not during */

#endif
