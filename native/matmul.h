/*
 * matmul.h - products of a matrix's 16-row groups with tiles of up to 8 rows. An instruction set gives dot4() and
 * dot8(): the integer sums of one block for every row of the tile. Floats are added block by block, lane by lane, so
 * a result does not depend on the tile it was computed in.
 */

INLINE void group_times_tile(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x, size_t first,
                             const int width, const int type, float *out, size_t stride) {
  const int32_t blocks = matrix->blocks;
  const uint16_t *scales = (const uint16_t *)group;
  const uint16_t *mins = (const uint16_t *)(group + matrix->min_offset);
  const uint8_t *quants = group + matrix->quant_offset;
  const size_t base = first * (size_t)blocks;
  const int8_t *xq = x->quants + base * ESP_BLOCK;
  const float *xs = x->scales + base, *xm = x->masses + base;
  const int32_t *starts = (type == ESP_GGUF_Q8_0 ? x->starts8 : x->starts4) + base;
  vf sum[ESP_TILE][PARTS] = {{{0}}};
  for (int32_t block = 0; block < blocks; block++) {
    vi dot[ESP_TILE][PARTS];
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      EACH_PART dot[j][part] = type == ESP_GGUF_Q4_1 ? (vi){0} : starts[j] - (vi){0};
    }
    __builtin_prefetch((const uint8_t *)scales + AHEAD);
    if (type == ESP_GGUF_Q8_0) dot8(quants, xq, width, dot);
    else dot4(quants, xq, width, dot);
    vf scale[PARTS];
    EACH_PART scale[part] = load_half(scales + part * LANES);
    _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
      EACH_PART sum[j][part] = multiply_add(__builtin_convertvector(dot[j][part], vf), scale[part] * xs[j], sum[j][part]);
    }
    if (type == ESP_GGUF_Q4_1) {
      __builtin_prefetch((const uint8_t *)mins + AHEAD);
      EACH_PART scale[part] = load_half(mins + part * LANES);
      _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
        EACH_PART sum[j][part] = multiply_add(scale[part], splat(xm[j]), sum[j][part]);
      }
      mins += ESP_GROUP;
    }
    scales += ESP_GROUP;
    quants += type == ESP_GGUF_Q8_0 ? 512 : 256;
    xq += ESP_BLOCK * width;
    xs += width;
    xm += width;
    starts += width;
  }
  _Pragma("GCC unroll 8") for (int j = 0; j < width; j++) {
    EACH_PART store(out + (size_t)j * stride + part * LANES, sum[j][part]);
  }
}

typedef void GroupTimesTile(const EspMatrix *, const uint8_t *, const EspActivations *, size_t, float *, size_t);

#define TILE_KERNEL(type, width)                                                                                      \
  static void times_##type##_##width(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x,          \
                                     size_t first, float *out, size_t stride) {                                       \
    group_times_tile(matrix, group, x, first, width, ESP_GGUF_##type, out, stride);                                   \
  }
#define TILE_KERNELS(type)                                                                                            \
  TILE_KERNEL(type, 1) TILE_KERNEL(type, 2) TILE_KERNEL(type, 3) TILE_KERNEL(type, 4)                                 \
  TILE_KERNEL(type, 5) TILE_KERNEL(type, 6) TILE_KERNEL(type, 7) TILE_KERNEL(type, 8)                                 \
  static GroupTimesTile *const times_##type[ESP_TILE] = {                                                             \
      times_##type##_1, times_##type##_2, times_##type##_3, times_##type##_4,                                         \
      times_##type##_5, times_##type##_6, times_##type##_7, times_##type##_8};

TILE_KERNELS(Q4_0)
TILE_KERNELS(Q4_1)
TILE_KERNELS(Q8_0)

/* Group by group, so that a thread reads one sequential stream of weights and later tiles find them in its cache. */
static void matmul(const EspMatrix *matrix, const EspActivations *x, int32_t from, int32_t to, float *out,
                   size_t stride) {
  GroupTimesTile *const *times =
      matrix->type == ESP_GGUF_Q4_0 ? times_Q4_0 : matrix->type == ESP_GGUF_Q4_1 ? times_Q4_1 : times_Q8_0;
  for (int32_t index = from; index < to; index++) {
    const uint8_t *group = matrix->data + (size_t)index * matrix->group_bytes;
    for (int32_t first = 0; first < x->rows; first += ESP_TILE) {
      int width = x->rows - first < ESP_TILE ? x->rows - first : ESP_TILE;
      times[width - 1](matrix, group, x, (size_t)first, out + (size_t)first * stride + (size_t)index * ESP_GROUP,
                       stride);
    }
  }
}
