/* matrix.c - weights: from the blocks of a GGUF file to groups of 16 interleaved rows (see EspMatrix). */
#include "blocks.h"
#include "memory.h"

#include <string.h>

enum { LINE = 64 };

/* Weights from its start on, EspMatrix from its end: so whoever fills a matrix is the first to touch its pages, which the system clears then. */
struct EspArena {
  uint8_t *memory; /* zeroed */
  size_t size, weights, matrices; /* bytes */
};

static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

EspArena *esp_arena_create(size_t bytes) {
  EspArena *arena = bytes > SIZE_MAX / 2 ? NULL : esp_alloc(sizeof *arena);
  if (!arena) return NULL;
  arena->size = round_up(bytes, LINE);
  arena->memory = esp_alloc(arena->size);
  if (arena->memory) return arena;
  esp_free(arena);
  return NULL;
}

void esp_arena_free(EspArena *arena) {
  if (!arena) return;
  esp_free(arena->memory);
  esp_free(arena);
}

/* Everything but `data`. False: no such matrix. */
static bool lay_out(EspMatrix *matrix, int32_t source, bool four_bit, int32_t rows, int32_t cols) {
  /* 2^24 rows or inputs is far above any model and keeps every product below within 64 bits. */
  if (rows < 1 || rows > 1 << 24 || cols > 1 << 24 || esp_matrix_row_bytes(source, cols) == 0) return false;
  *matrix = (EspMatrix){.rows = rows, .cols = cols, .source = source, .type = esp_kept_type(source, four_bit)};
  const EspFormat format = esp_format(matrix->type);
  matrix->groups = (rows + ESP_GROUP - 1) / ESP_GROUP;
  matrix->blocks = cols / ESP_BLOCK;
  matrix->group_bytes = esp_place(format, matrix->blocks - 1).quants + esp_quant_bytes(format.bits);
  return true;
}

size_t esp_matrix_bytes(int32_t source, bool four_bit, int32_t rows, int32_t cols) {
  EspMatrix matrix;
  if (!lay_out(&matrix, source, four_bit, rows, cols)) return 0;
  return round_up(sizeof matrix, LINE) + (size_t)matrix.groups * matrix.group_bytes;
}

EspMatrix *esp_matrix_create(EspArena *arena, int32_t source, bool four_bit, int32_t rows, int32_t cols) {
  size_t bytes = esp_matrix_bytes(source, four_bit, rows, cols);
  if (bytes == 0 || bytes > arena->size - arena->weights - arena->matrices) return NULL;
  arena->matrices += round_up(sizeof(EspMatrix), LINE);
  EspMatrix *matrix = (EspMatrix *)(void *)(arena->memory + (arena->size - arena->matrices));
  lay_out(matrix, source, four_bit, rows, cols);
  /* The arena is zeroed: rows that fill up the last group have scale 0. */
  matrix->data = arena->memory + arena->weights;
  arena->weights += (size_t)matrix->groups * matrix->group_bytes;
  return matrix;
}

/* Quants of one row, four at a time, among the planes of 16. */
static void place_quants(const uint8_t *quants, int bits, int lane, uint8_t *planes) {
  planes += 4 * lane;
  int done = 0; /* bits that earlier planes hold */
  for (int width = 8; width > 0; width /= 2) {
    if (!((bits - done) & width)) continue;
    const int per_line = 8 / width; /* fours */
    const uint32_t mask = ((1u << width) - 1) * 0x01010101u;
    for (int four = 0; four < ESP_BLOCK / 4; four += per_line, planes += LINE) {
      uint32_t line = 0;
      for (int i = 0; i < per_line; i++) {
        uint32_t values;
        memcpy(&values, quants + 4 * (four + i), sizeof values);
        line |= (values >> done & mask) << (i * width);
      }
      memcpy(planes, &line, sizeof line);
    }
    done += width;
  }
}

/* Sets a row's half among those of 16. */
static void place_half(uint8_t *halves, int lane, uint16_t half) { memcpy(halves + (size_t)lane * sizeof half, &half, sizeof half); }

static void place_block(const EspMatrix *matrix, const EspBlock *block, int32_t index, int lane, uint8_t *group) {
  const EspFormat format = esp_format(matrix->type);
  const EspPlace place = esp_place(format, index);
  uint8_t *scales = group + place.head, *mins = scales + esp_scale_bytes(format);
  place_half(format.super ? group + place.shared : scales, lane, block->scale);
  if (format.min) place_half(format.super ? group + place.shared + ESP_SHARED_BYTES / 2 : mins, lane, block->min);
  for (int part = 0; format.super && part < format.scales; part++) {
    scales[part * ESP_GROUP + lane] = (uint8_t)block->scale_codes[part];
    if (format.min) mins[part * ESP_GROUP + lane] = (uint8_t)block->min_codes[part];
  }
  place_quants(block->quants, format.bits, lane, group + place.quants);
}

/* Up to 8 blocks of a row from block `index` on. */
static void place_blocks(const EspMatrix *matrix, const uint8_t *row, int32_t index, int lane, uint8_t *group) {
  const int32_t own = esp_kept_type(matrix->source, false);
  const int32_t count = matrix->blocks - index < ESP_SUPER ? matrix->blocks - index : ESP_SUPER;
  EspBlock blocks[ESP_SUPER];
  memset(blocks, 0, sizeof blocks);
  for (int32_t i = 0; i < count; i++) esp_read_block(matrix->source, row, index + i, &blocks[i]);
  if (own != matrix->type) {
    float values[ESP_SUPER * ESP_BLOCK];
    for (int32_t i = 0; i < count; i++) esp_block_values(own, &blocks[i], values + i * ESP_BLOCK);
    esp_blocks_of_4_bits(values, count, blocks);
  }
  for (int32_t i = 0; i < count; i++) place_block(matrix, &blocks[i], index + i, lane, group);
}

bool esp_matrix_fill(EspMatrix *matrix, int32_t first, int32_t rows, const uint8_t *bytes) {
  if (first < 0 || rows < 0 || first % ESP_GROUP || first > matrix->rows - rows) return false;
  const size_t row_bytes = esp_matrix_row_bytes(matrix->source, matrix->cols);
  for (int32_t row = first; row < first + rows; row++, bytes += row_bytes) {
    uint8_t *group = matrix->data + (size_t)(row / ESP_GROUP) * matrix->group_bytes;
    for (int32_t index = 0; index < matrix->blocks; index += ESP_SUPER) {
      place_blocks(matrix, bytes, index, row % ESP_GROUP, group);
    }
  }
  return true;
}

static bool is_four_bit(const EspMatrix *matrix) { return matrix->type != esp_kept_type(matrix->source, false); }

size_t esp_matrix_gathered_bytes(const EspMatrix *from, int32_t count) {
  return esp_matrix_bytes(from->source, is_four_bit(from), count, from->cols);
}

/* One row's part of `size` bytes of a group from `begin` on, in which the 16 rows take turns of `width` bytes. */
static void copy_lane(uint8_t *to, int to_lane, const uint8_t *from, int lane, size_t begin, size_t size, size_t width) {
  for (size_t at = begin; at < begin + size; at += ESP_GROUP * width) {
    memcpy(to + at + (size_t)to_lane * width, from + at + (size_t)lane * width, width);
  }
}

void esp_matrix_copy_row(EspMatrix *to, int32_t to_row, const EspMatrix *from, int32_t from_row) {
  const EspFormat format = esp_format(from->type);
  uint8_t *group = to->data + (size_t)(to_row / ESP_GROUP) * to->group_bytes;
  const uint8_t *source = from->data + (size_t)(from_row / ESP_GROUP) * from->group_bytes;
  const int to_lane = to_row % ESP_GROUP, lane = from_row % ESP_GROUP;
  for (int32_t block = 0; block < from->blocks; block++) {
    const EspPlace place = esp_place(format, block);
    if (format.super && block % ESP_SUPER == 0) copy_lane(group, to_lane, source, lane, place.shared, ESP_SHARED_BYTES, sizeof(uint16_t));
    copy_lane(group, to_lane, source, lane, place.head, esp_head_bytes(format), format.super ? 1 : sizeof(uint16_t));
    copy_lane(group, to_lane, source, lane, place.quants, esp_quant_bytes(format.bits), 4);
  }
}

EspMatrix *esp_matrix_gather(EspArena *arena, const EspMatrix *from, const int32_t *rows, int32_t count) {
  for (int32_t i = 0; i < count; i++) {
    if (rows[i] < 0 || rows[i] >= from->rows) return NULL;
  }
  EspMatrix *matrix = esp_matrix_create(arena, from->source, is_four_bit(from), count, from->cols);
  for (int32_t i = 0; matrix && i < count; i++) esp_matrix_copy_row(matrix, i, from, rows[i]);
  return matrix;
}
