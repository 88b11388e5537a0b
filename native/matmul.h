/*
 * matmul.h - products of a matrix's 16-row groups with tiles of up to 8 rows. An instruction set gives dot(): the integer sums of
 * LANES weight rows and one input row, over some fours of a block. Floats are added block by block, lane by lane, so a result does not
 * depend on the tile it was computed in.
 *
 * Where registers hold the sums of a tile (TILE_IN_REGISTERS), loops over its rows are unrolled, in one function for each number of
 * rows, and a four of weights serves all rows before the next. Elsewhere the number of rows is a variable, the weights of a block
 * stay in registers, and the sums lie in memory.
 */

#ifdef TILE_IN_REGISTERS
#define EACH_ROW _Pragma("GCC unroll 8") for (int j = 0; j < width; j++)
#else
#define EACH_ROW _Pragma("GCC unroll 1") for (int j = 0; j < width; j++)
#endif

/* Where the scales, or minima, of the next block lie. */
typedef struct {
  const uint16_t *halves;
  const int8_t *codes;
  vf super[PARTS]; /* what 8 blocks share */
} Scales;

/* Those of 16 rows for the next block, or half of one. */
INLINE void next_scales(Scales *at, const EspFormat format, bool new_super, vf *scale) {
  if (!format.super || new_super) {
    __builtin_prefetch((const uint8_t *)at->halves + AHEAD);
    EACH_PART at->super[part] = load_half(at->halves + part * LANES);
    at->halves += ESP_GROUP;
  }
  EACH_PART scale[part] = at->super[part];
  if (!format.super) return;
  __builtin_prefetch(at->codes + AHEAD);
  EACH_PART scale[part] *= __builtin_convertvector(widen_bytes(at->codes + part * LANES), vf); /* exact */
  at->codes += ESP_GROUP;
}

/* What weights of 0 add to a dot product, for the rows of a tile. */
INLINE const int32_t *starts_of(const EspActivations *x, const EspFormat format, size_t base) {
  if (format.scales == 2) return x->starts6 + 2 * base;
  return (format.zero == 8 ? x->starts4 : format.zero == 16 ? x->starts5 : x->starts8) + base;
}

INLINE int32_t start(const int32_t *starts, const EspFormat format, int j) {
#ifdef EIGHT_BITS_SIGNED /* dot() takes 128 off the weights itself */
  if (format.zero == 128) return 0;
#endif
  return format.zero == 0 ? 0 : format.zero == 4 ? starts[j] >> 3 : starts[j];
}

/* What a minimum is multiplied by. */
INLINE float mass(const float *masses, const float *scales, const int32_t *starts, const EspFormat format, int j) {
  return format.scales == 1 ? masses[j] : scales[j] * ((float)starts[j] * -0.03125f);
}

INLINE void group_times_tile(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x, size_t first,
                             const int width, const int type, float *out, size_t stride) {
  const EspFormat format = esp_format(type);
  const int32_t blocks = matrix->blocks;
  Scales scales = {(const uint16_t *)group, (const int8_t *)group + matrix->code_offset, {{0}}};
  Scales mins = {(const uint16_t *)(group + matrix->min_offset), (const int8_t *)group + matrix->min_code_offset, {{0}}};
  const uint8_t *quants = group + matrix->quant_offset;
  const size_t base = first * (size_t)blocks;
  const int8_t *xq = x->quants + base * ESP_BLOCK;
  const float *xs = x->scales + base, *xm = x->masses + base;
  const int32_t *starts = starts_of(x, format, base);
  vf sum[ESP_TILE][PARTS] = {{{0}}};
  for (int32_t block = 0; block < blocks; block++) {
    for (size_t line = 0; line < esp_quant_bytes(format.bits); line += 64) __builtin_prefetch(quants + line + AHEAD);
    _Pragma("GCC unroll 2") for (int half = 0; half < format.scales; half++) {
      const int fours = 8 / format.scales;
      const bool new_super = half == 0 && block % ESP_SUPER == 0;
      vf scale[PARTS], min[PARTS];
      next_scales(&scales, format, new_super, scale);
      if (format.min) next_scales(&mins, format, new_super, min);
      EACH_PART {
#ifdef TILE_IN_REGISTERS
        vi products[ESP_TILE];
        EACH_ROW products[j] = start(starts, format, j) - (vi){0};
        _Pragma("GCC unroll 8") for (int four = half * fours; four < (half + 1) * fours; four++) {
          vw weights[8];
          weights[four] = four_weights(quants, format.bits, four, part);
          EACH_ROW products[j] = dot(weights, format.bits, four, four + 1, xq + j * ESP_BLOCK, products[j]);
        }
#else
        vw weights[8];
        _Pragma("GCC unroll 8") for (int four = half * fours; four < (half + 1) * fours; four++) {
          weights[four] = four_weights(quants, format.bits, four, part);
        }
#endif
        EACH_ROW {
#ifdef TILE_IN_REGISTERS
          const vi product = products[j];
#else
          const vi product = dot(weights, format.bits, half * fours, (half + 1) * fours, xq + j * ESP_BLOCK, start(starts, format, j) - (vi){0});
#endif
          sum[j][part] = multiply_add(__builtin_convertvector(product, vf), scale[part] * xs[j], sum[j][part]);
          if (format.min) sum[j][part] = multiply_add(min[part], splat(mass(xm, xs, starts, format, j)), sum[j][part]);
        }
      }
      starts += width;
    }
    quants += esp_quant_bytes(format.bits);
    xq += ESP_BLOCK * width;
    xs += width;
    xm += width;
  }
  EACH_ROW {
    EACH_PART store(out + (size_t)j * stride + part * LANES, sum[j][part]);
  }
}

typedef void GroupTimesTile(const EspMatrix *, const uint8_t *, const EspActivations *, size_t, int, float *, size_t);

#define TILE_KERNEL(type, name, width)                                                                                \
  static void times_##type##_##name(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x,           \
                                    size_t first, const int rows, float *out, size_t stride) {                        \
    (void)rows;                                                                                                       \
    group_times_tile(matrix, group, x, first, width, ESP_GGUF_##type, out, stride);                                   \
  }
#ifdef TILE_IN_REGISTERS
#define TILE_KERNELS(type)                                                                                            \
  TILE_KERNEL(type, 1, 1) TILE_KERNEL(type, 2, 2) TILE_KERNEL(type, 3, 3) TILE_KERNEL(type, 4, 4)                     \
  TILE_KERNEL(type, 5, 5) TILE_KERNEL(type, 6, 6) TILE_KERNEL(type, 7, 7) TILE_KERNEL(type, 8, 8)                     \
  static GroupTimesTile *const times_##type[ESP_TILE] = {                                                             \
      times_##type##_1, times_##type##_2, times_##type##_3, times_##type##_4,                                         \
      times_##type##_5, times_##type##_6, times_##type##_7, times_##type##_8};
#else
#define TILE_KERNELS(type)                                                                                            \
  TILE_KERNEL(type, 1, 1) TILE_KERNEL(type, n, rows)                                                                  \
  static GroupTimesTile *const times_##type[ESP_TILE] = {                                                             \
      times_##type##_1, times_##type##_n, times_##type##_n, times_##type##_n,                                         \
      times_##type##_n, times_##type##_n, times_##type##_n, times_##type##_n};
#endif

TILE_KERNELS(Q4_0)
TILE_KERNELS(Q4_1)
TILE_KERNELS(Q5_0)
TILE_KERNELS(Q5_1)
TILE_KERNELS(Q8_0)
TILE_KERNELS(Q2_K)
TILE_KERNELS(Q3_K)
TILE_KERNELS(Q4_K)
TILE_KERNELS(Q5_K)
TILE_KERNELS(Q6_K)

static GroupTimesTile *const *kernels_of(int32_t type) {
  switch (type) {
    case ESP_GGUF_Q4_0: return times_Q4_0;
    case ESP_GGUF_Q4_1: return times_Q4_1;
    case ESP_GGUF_Q5_0: return times_Q5_0;
    case ESP_GGUF_Q5_1: return times_Q5_1;
    case ESP_GGUF_Q2_K: return times_Q2_K;
    case ESP_GGUF_Q3_K: return times_Q3_K;
    case ESP_GGUF_Q4_K: return times_Q4_K;
    case ESP_GGUF_Q5_K: return times_Q5_K;
    case ESP_GGUF_Q6_K: return times_Q6_K;
    default: return times_Q8_0;
  }
}

/* Group by group, so that a thread reads one sequential stream of weights and later tiles find them in its cache. */
static void matmul(const EspMatrix *matrix, const EspActivations *x, int32_t from, int32_t to, float *out,
                   size_t stride) {
  GroupTimesTile *const *times = kernels_of(matrix->type);
  for (int32_t index = from; index < to; index++) {
    const uint8_t *group = matrix->data + (size_t)index * matrix->group_bytes;
    for (int32_t first = 0; first < x->rows; first += ESP_TILE) {
      int width = x->rows - first < ESP_TILE ? x->rows - first : ESP_TILE;
      times[width - 1](matrix, group, x, (size_t)first, width, out + (size_t)first * stride + (size_t)index * ESP_GROUP, stride);
    }
  }
}
