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

int32_t esp_kept_type(int32_t source); /* the kind in memory that a kind in a file becomes; -1 for an unknown one */
/* Block `index` of a row of a file, in terms of the kind that it becomes. */
void esp_read_block(int32_t source, const uint8_t *row, int32_t index, EspBlock *to);

#endif
