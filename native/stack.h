/* stack.h - the inside of a stack, for stack.c, cache.c and the files of a pass. */
#ifndef ESP_STACK_H
#define ESP_STACK_H

#include "kernels.h"

enum {
  OWN_ROWS = ESP_ONE_TILE, /* with so few rows every thread prepares a product's input itself: cheaper than a barrier and lines from another core */
  MOST_HEAD = 1024, /* values of a head */
  HEAD_CHUNK = 32, /* groups of the head in one piece */
};

struct EspStack {
  EspStackSpec spec;
  EspLayer *layer; /* layers */
  float *vectors; /* all norms, biases and factors */
  EspPool *pool;
  double *frequencies; /* ropes x rope_dims / 2: radians per position */
  /* Buffers of a pass; rows are those of all its trees. */
  float *x; /* rows x hidden: the residual stream */
  float *qkv; /* rows x qkv_stride: queries, keys, values, each padded to whole groups */
  size_t qkv_stride;
  float *attended; /* rows x heads * head_size */
  float *product; /* rows x hidden, padded to whole groups: a product before it is added to x */
  size_t product_stride;
  float *gate, *up; /* rows x feed, padded */
  size_t feed_stride;
  float *cosines, *sines; /* ropes x ESP_MAX_NODES x rope_dims; sines with their sign */
  EspActivations hidden_in, attended_in, feed_in; /* shared by all threads */
  EspActivations own_in[ESP_MAX_THREADS]; /* when each thread prepares a product's input for itself */
  EspActivations join_in, fuse_in; /* of a draft head */
  float *normed; /* threads x normed_size */
  size_t normed_size;
  float *scratch; /* threads x scratch_size */
  size_t scratch_size;
  /* Grown before a pass when needed. */
  float *span_outputs, *span_maxima, *span_sums; /* rows x heads x spans (x head_size) */
  size_t span_room;
  EspMatrix more; /* the other rows of the newest pass that had such */
  int32_t *more_rows; /* ESP_MAX_MORE: where in `others` they are from; -1: nowhere yet */
  float *logits; /* output rows x (vocab, padded to whole groups, and ESP_MAX_MORE if there are others) */
  size_t logits_stride, logits_room;
  float *chunk_maxima, *chunk_sums; /* ESP_MAX_NODES x chunks of the vocabulary */
  struct AttentionJob *jobs;
  size_t job_room;
};

static inline bool is_draft_head(const EspStackSpec *spec) { return spec->join || spec->wide; }

static inline int32_t chunks_of(int32_t groups) { return (groups + HEAD_CHUNK - 1) / HEAD_CHUNK; }

#endif
