/*
 * matrix.c - weights: from the blocks of a GGUF file to groups of 16 interleaved rows (see EspMatrix).
 * The values are the file's: quants, scales and minima are moved, never changed.
 */
#include "espalier.h"
#include "memory.h"

#include <string.h>

enum { LINE = 64 };

struct EspArena {
  uint8_t *memory; /* zeroed */
  size_t size, used;
};

static size_t round_up(size_t value, size_t unit) { return (value + unit - 1) / unit * unit; }

EspArena *esp_arena_create(size_t bytes) {
  EspArena *arena = esp_alloc(sizeof *arena);
  if (!arena) return NULL;
  arena->size = bytes;
  arena->memory = esp_alloc(bytes);
  if (arena->memory) return arena;
  esp_free(arena);
  return NULL;
}

void esp_arena_free(EspArena *arena) {
  if (!arena) return;
  esp_free(arena->memory);
  esp_free(arena);
}

typedef struct {
  size_t bytes; /* of a block of 32 in the file */
  size_t quants; /* offset of the quants in it */
  bool four_bit, has_min;
} Format;

static const Format *format_of(int32_t type) {
  static const Format q4_0 = {18, 2, true, false}, q4_1 = {20, 4, true, true}, q8_0 = {34, 2, false, false};
  switch (type) {
    case ESP_GGUF_Q4_0: return &q4_0;
    case ESP_GGUF_Q4_1: return &q4_1;
    case ESP_GGUF_Q8_0: return &q8_0;
    default: return NULL;
  }
}

bool esp_matrix_type_known(int32_t type) { return format_of(type) != NULL; }

size_t esp_matrix_row_bytes(int32_t type, int32_t cols) {
  const Format *format = format_of(type);
  return format && cols > 0 && cols % ESP_BLOCK == 0 ? (size_t)(cols / ESP_BLOCK) * format->bytes : 0;
}

/* Everything but `data`. False: no such matrix. */
static bool lay_out(EspMatrix *matrix, int32_t type, int32_t rows, int32_t cols) {
  const Format *format = format_of(type);
  /* 2^24 rows or inputs is far above any model and keeps every product below within 64 bits. */
  if (!format || rows < 1 || cols < ESP_BLOCK || cols % ESP_BLOCK || rows > 1 << 24 || cols > 1 << 24) return false;
  *matrix = (EspMatrix){.rows = rows, .cols = cols, .type = type};
  matrix->groups = (rows + ESP_GROUP - 1) / ESP_GROUP;
  matrix->blocks = cols / ESP_BLOCK;
  size_t line = (size_t)matrix->blocks * ESP_GROUP * sizeof(uint16_t);
  matrix->min_offset = line;
  matrix->quant_offset = round_up(format->has_min ? 2 * line : line, LINE);
  matrix->group_bytes = matrix->quant_offset + (size_t)matrix->blocks * (format->four_bit ? 256 : 512);
  return true;
}

size_t esp_matrix_bytes(int32_t type, int32_t rows, int32_t cols) {
  EspMatrix matrix;
  if (!lay_out(&matrix, type, rows, cols)) return 0;
  return round_up(sizeof matrix, LINE) + (size_t)matrix.groups * matrix.group_bytes;
}

EspMatrix *esp_matrix_create(EspArena *arena, int32_t type, int32_t rows, int32_t cols) {
  size_t bytes = esp_matrix_bytes(type, rows, cols);
  if (bytes == 0 || bytes > arena->size - arena->used) return NULL;
  EspMatrix *matrix = (EspMatrix *)(arena->memory + arena->used);
  arena->used += bytes;
  lay_out(matrix, type, rows, cols);
  /* The arena is zeroed: rows that fill up the last group have scale 0. */
  matrix->data = (uint8_t *)matrix + round_up(sizeof *matrix, LINE);
  return matrix;
}

/* The 16 quant bytes of a 4-bit block hold inputs 0..15 in low nibbles and 16..31 in high ones. */
static void place_four_bit(const uint8_t *quants, uint8_t *line, int lane) {
  for (int i = 0; i < 4; i++) {
    for (int b = 0; b < 4; b++) {
      int low = 8 * i + b, high = low + 4;
      int low_value = low < 16 ? quants[low] & 15 : quants[low - 16] >> 4;
      int high_value = high < 16 ? quants[high] & 15 : quants[high - 16] >> 4;
      line[64 * i + 4 * lane + b] = (uint8_t)(low_value | high_value << 4);
    }
  }
}

static void place_eight_bit(const uint8_t *quants, uint8_t *line, int lane) {
  for (int i = 0; i < 8; i++) {
    for (int b = 0; b < 4; b++) line[64 * i + 4 * lane + b] = quants[4 * i + b] ^ 0x80;
  }
}

bool esp_matrix_fill(EspMatrix *matrix, int32_t first, int32_t rows, const uint8_t *bytes) {
  if (first < 0 || rows < 0 || first % ESP_GROUP || first > matrix->rows - rows) return false;
  const Format *format = format_of(matrix->type);
  size_t row_bytes = (size_t)matrix->blocks * format->bytes;
  size_t quant_bytes = format->four_bit ? 256 : 512;
  for (int32_t row = first; row < first + rows; row++) {
    uint8_t *group = matrix->data + (size_t)(row / ESP_GROUP) * matrix->group_bytes;
    const uint8_t *from = bytes + (size_t)(row - first) * row_bytes;
    int lane = row % ESP_GROUP;
    for (int32_t block = 0; block < matrix->blocks; block++, from += format->bytes) {
      size_t place = ((size_t)block * ESP_GROUP + (size_t)lane) * sizeof(uint16_t);
      memcpy(group + place, from, sizeof(uint16_t));
      if (format->has_min) memcpy(group + matrix->min_offset + place, from + 2, sizeof(uint16_t));
      uint8_t *line = group + matrix->quant_offset + (size_t)block * quant_bytes;
      if (format->four_bit) place_four_bit(from + format->quants, line, lane);
      else place_eight_bit(from + format->quants, line, lane);
    }
  }
  return true;
}
