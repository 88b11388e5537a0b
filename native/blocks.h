/* blocks.h - blocks of weights as files have them. */
#ifndef ESP_BLOCKS_H
#define ESP_BLOCKS_H

#include "formats.h"

/* A block of 32 weights of one row, in the terms of formats.h; scales and minima are halves. */
typedef struct {
  uint8_t quants[ESP_BLOCK];
  uint16_t scale, min; /* in K kinds those of 8 blocks */
  int8_t scale_codes[2], min_codes[2];
} EspBlock;

/* The kind in memory that a kind in a file becomes; -1 for an unknown one. With four_bit, Q4_K is what more than 4 bits become. */
int32_t esp_kept_type(int32_t source, bool four_bit);
/* Block `index` of a row of a file, in terms of the kind that it becomes without four_bit. */
void esp_read_block(int32_t source, const uint8_t *row, int32_t index, EspBlock *to);
/* The 32 values of a block of a kind in memory. */
void esp_block_values(int32_t type, const EspBlock *block, float *values);
/* Values of 1 to 8 blocks of a row as blocks of Q4_K: little squared error, by a search. */
void esp_blocks_of_4_bits(const float *values, int count, EspBlock *to);

#endif
