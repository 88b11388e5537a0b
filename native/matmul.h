/*
 * matmul.h - products of a matrix's 16-row groups with rows of inputs. Up to REGISTER_ROWS rows of inputs go through a group together, in
 * one function for each number of them, and all their integer sums of a block stay in registers: a four of weights is unpacked once for them, and
 * a four of inputs is loaded once for all 16 rows of weights. Floats are added block by block, lane by lane, so a result does not
 * depend on the rows it was computed with.
 *
 * An instruction set gives REGISTER_ROWS (12, 4 or 1) and the integer sum of LANES rows of weights times one row of inputs, over all
 * fours of a block, or over those of half a block that has a scale of its own:
 *   Dots            a sum that is being made
 *   begin           a new one
 *   add_products    adds the products of four `four`, one of `fours` that are summed, with a row's block x
 *   finish          its value; either begin or finish adds `start`
 */

/*
 * Most processors fetch a stream of weights faster by themselves, as long as they do not compute so much between two lines; others are asked for
 * lines ahead with any number of rows.
 */
enum { BUSY_ROWS = 4 };

#define EACH_ROW _Pragma("GCC unroll 12") for (int j = 0; j < REGISTER_ROWS; j++) if (j < rows)

/* Scales or minima of 16 rows, for a block or half of one; `shared`: what they are multiplied by in K kinds. */
INLINE void load_scales(const uint8_t *from, const EspFormat format, const vf *shared, vf *scale) {
  EACH_PART {
    if (format.super) scale[part] = shared[part] * __builtin_convertvector(widen_bytes((const int8_t *)from + part * LANES), vf); /* exact */
    else scale[part] = load_half((const uint16_t *)(const void *)from + part * LANES);
  }
}

/* What weights of 0 add to a sum, for the rows of a tile. */
INLINE const int32_t *starts_of(const EspActivations *x, const EspFormat format, size_t base) {
  if (format.scales == 2) return x->starts6 + 2 * base;
  return (format.zero == 8 ? x->starts4 : format.zero == 16 ? x->starts5 : x->starts8) + base;
}

INLINE int32_t start(const int32_t *starts, const EspFormat format, int j) {
#ifdef EIGHT_BITS_SIGNED /* add_products() takes 128 off the weights itself */
  if (format.zero == 128) return 0;
#endif
  return format.zero == 0 ? 0 : format.zero == 4 ? starts[j] >> 3 : starts[j];
}

/* What a minimum is multiplied by. */
INLINE float mass(const float *masses, const float *scales, const int32_t *starts, const EspFormat format, int j) {
  return format.scales == 1 ? masses[j] : scales[j] * ((float)starts[j] * -0.03125f);
}

/* `rows` rows of inputs from row `first` on, in a tile of `width` that begins at row `tile`. */
INLINE void group_times_rows(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x, size_t tile, size_t first,
                             int32_t width, const int rows, const int type, float *out, size_t stride) {
  const EspFormat format = esp_format(type);
  const int32_t blocks = matrix->blocks;
  const size_t head_bytes = esp_head_bytes(format), quant_bytes = esp_quant_bytes(format.bits);
  const size_t base = tile * (size_t)blocks + (first - tile);
  const int8_t *xq = x->quants + base * ESP_BLOCK;
  const float *xs = x->scales + base, *xm = x->masses + base;
  const int32_t *starts = starts_of(x, format, tile * (size_t)blocks) + (first - tile);
  const bool asks_ahead = rows >= BUSY_ROWS || esp_asks_ahead;
  vf sum[REGISTER_ROWS][PARTS] = {{{0}}}, shared[PARTS] = {{0}}, shared_min[PARTS] = {{0}};
  for (int32_t block = 0; block < blocks; block++) {
    const size_t odd = (size_t)block % 2;
    if (format.super && block % ESP_SUPER == 0) {
      EACH_PART shared[part] = load_half((const uint16_t *)(const void *)group + part * LANES);
      if (format.min) EACH_PART shared_min[part] = load_half((const uint16_t *)(const void *)group + ESP_GROUP + part * LANES);
      group += ESP_SHARED_BYTES;
    }
    const uint8_t *scales = group + odd * head_bytes, *quants = group + 2 * head_bytes + odd * quant_bytes;
    if (asks_ahead) {
      const uint8_t *ahead = group + odd * (head_bytes + quant_bytes) + AHEAD;
      for (size_t line = 0; line < head_bytes + quant_bytes; line += 64) __builtin_prefetch(ahead + line);
    }
    _Pragma("GCC unroll 2") for (int half = 0; half < format.scales; half++) {
      const int fours = 8 / format.scales;
      Dots dots[REGISTER_ROWS][PARTS];
      EACH_ROW EACH_PART dots[j][part] = begin(start(starts, format, j));
      _Pragma("GCC unroll 8") for (int four = half * fours; four < (half + 1) * fours; four++) {
        vw weights[PARTS];
        EACH_PART weights[part] = four_weights(quants, format.bits, four, part);
        EACH_ROW EACH_PART dots[j][part] = add_products(dots[j][part], weights[part], format.bits, four, fours, xq + j * ESP_BLOCK);
      }
      vf scale[PARTS], min[PARTS];
      load_scales(scales + half * ESP_GROUP, format, shared, scale);
      if (format.min) load_scales(scales + esp_scale_bytes(format) + half * ESP_GROUP, format, shared_min, min);
      EACH_ROW EACH_PART {
        const vi product = finish(dots[j][part], start(starts, format, j));
        sum[j][part] = multiply_add(__builtin_convertvector(product, vf), scale[part] * xs[j], sum[j][part]);
        if (format.min) sum[j][part] = multiply_add(min[part], splat(mass(xm, xs, starts, format, j)), sum[j][part]);
      }
      starts += width;
    }
    if (odd) group += 2 * (head_bytes + quant_bytes);
    xq += ESP_BLOCK * width;
    xs += width;
    xm += width;
  }
  EACH_ROW {
    EACH_PART store(out + (size_t)j * stride + part * LANES, sum[j][part]);
  }
}

typedef void GroupTimesRows(const EspMatrix *, const uint8_t *, const EspActivations *, size_t, size_t, int32_t, float *, size_t);

#define ROWS_KERNEL(type, rows)                                                                                       \
  static void times_##type##_##rows(const EspMatrix *matrix, const uint8_t *group, const EspActivations *x,           \
                                    size_t tile, size_t first, int32_t width, float *out, size_t stride) {            \
    group_times_rows(matrix, group, x, tile, first, width, rows, ESP_GGUF_##type, out, stride);                       \
  }
#if REGISTER_ROWS == 12
#define TILE_KERNELS(type)                                                                                            \
  ROWS_KERNEL(type, 1) ROWS_KERNEL(type, 2) ROWS_KERNEL(type, 3) ROWS_KERNEL(type, 4)                                 \
  ROWS_KERNEL(type, 5) ROWS_KERNEL(type, 6) ROWS_KERNEL(type, 7) ROWS_KERNEL(type, 8)                                 \
  ROWS_KERNEL(type, 9) ROWS_KERNEL(type, 10) ROWS_KERNEL(type, 11) ROWS_KERNEL(type, 12)                              \
  static GroupTimesRows *const times_##type[REGISTER_ROWS] = {                                                        \
      times_##type##_1, times_##type##_2, times_##type##_3, times_##type##_4, times_##type##_5, times_##type##_6,     \
      times_##type##_7, times_##type##_8, times_##type##_9, times_##type##_10, times_##type##_11, times_##type##_12};
#elif REGISTER_ROWS == 4
#define TILE_KERNELS(type)                                                                                            \
  ROWS_KERNEL(type, 1) ROWS_KERNEL(type, 2) ROWS_KERNEL(type, 3) ROWS_KERNEL(type, 4)                                 \
  static GroupTimesRows *const times_##type[REGISTER_ROWS] = {                                                        \
      times_##type##_1, times_##type##_2, times_##type##_3, times_##type##_4};
#else
#define TILE_KERNELS(type)                                                                                            \
  ROWS_KERNEL(type, 1)                                                                                                \
  static GroupTimesRows *const times_##type[REGISTER_ROWS] = {times_##type##_1};
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

static GroupTimesRows *const *kernels_of(int32_t type) {
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
  GroupTimesRows *const *times = kernels_of(matrix->type);
  const int32_t size = esp_tile(x->rows);
  for (int32_t index = from; index < to; index++) {
    const uint8_t *group = matrix->data + (size_t)index * matrix->group_bytes;
    float *sums = out + (size_t)index * ESP_GROUP;
    for (int32_t tile = 0; tile < x->rows; tile += size) {
      const int32_t width = x->rows - tile < size ? x->rows - tile : size;
      for (int32_t row = 0, rows; row < width; row += rows) {
        rows = width - row < REGISTER_ROWS ? width - row : REGISTER_ROWS;
        times[rows - 1](matrix, group, x, (size_t)tile, (size_t)(tile + row), width, sums + (size_t)(tile + row) * stride, stride);
      }
    }
  }
}
