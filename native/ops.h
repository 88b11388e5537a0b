/* ops.h - what happens to a row between two products. Written once in vectors.h's algebra. */

/* A 32-input block to int8: scale = largest / 127, quants rounded half to even (what llama.cpp's Q8 blocks hold). */
static void quantize(const float *x, EspActivations *to, int32_t row, int32_t block_from, int32_t block_to) {
  const int32_t size = esp_tile(to->rows), lane = row % size, tile = row - lane;
  const int32_t width = to->rows - tile < size ? to->rows - tile : size;
  const size_t base = (size_t)tile * (size_t)to->blocks;
  const vf shifter = splat(12582912.0f);
  for (int32_t block = block_from; block < block_to; block++) {
    const float *from = x + (size_t)block * ESP_BLOCK;
    vf most = splat(0);
    for (int i = 0; i < ESP_BLOCK; i += LANES) most = larger(absolute(load(from + i)), most);
    const float largest = largest_of(most);
    /* Below this the reciprocal would overflow; such a block adds nothing to any sum. */
    bool nothing = !(largest > 1e-30f);
    float scale = nothing ? 0 : largest / 127.0f, inverse = nothing ? 0 : 127.0f / largest;
    size_t place = base + (size_t)block * (size_t)width + (size_t)lane;
    int8_t *quants = to->quants + place * ESP_BLOCK;
    vi total[2] = {{0}};
    for (int i = 0; i < ESP_BLOCK; i += LANES) {
      vf shifted = load(from + i) * inverse + shifter;
      narrow_bytes(quants + i, (vi)shifted - (vi)shifter);
      total[i / 16] += widen_bytes(quants + i); /* of what is not a number, 0 */
    }
    const int32_t halves[2] = {sum_of(total[0]), sum_of(total[1])}, sum = halves[0] + halves[1];
    to->scales[place] = scale;
    to->masses[place] = scale * (float)sum;
    to->starts4[place] = -8 * sum;
    to->starts5[place] = -16 * sum;
    to->starts8[place] = -128 * sum;
    int32_t *starts6 = to->starts6 + 2 * (place - (size_t)lane) + lane;
    starts6[0] = -32 * halves[0];
    starts6[width] = -32 * halves[1];
  }
}

static void rms_norm(const float *x, const float *weight, float *out, int32_t size, float epsilon) {
  vf sum[PARTS] = {0};
  for (int32_t i = 0; i < size; i += 16) {
    EACH_PART {
      vf value = load(x + i + part * LANES);
      sum[part] = multiply_add(value, value, sum[part]);
    }
  }
  float parts[16];
  EACH_PART store(parts + part * LANES, sum[part]);
  float scale = 1.0f / sqrtf(tree_sum(parts) / (float)size + epsilon);
  for (int32_t i = 0; i < size; i += LANES) store(out + i, load(x + i) * scale * load(weight + i));
}

static void add(float *to, const float *x, int32_t size) {
  for (int32_t i = 0; i < size; i += LANES) store(to + i, load(to + i) + load(x + i));
}

static void silu_times(float *gate, const float *up, int32_t size) {
  for (int32_t i = 0; i < size; i += LANES) {
    vf g = load(gate + i);
    store(gate + i, g / (1.0f + exponential(-g)) * load(up + i));
  }
}

/* GELU (arXiv:1606.08415) with tanh: g * (1 + tanh(u)) / 2 = g / (1 + e^-2u), u = sqrt(2 / pi) * (g + 0.044715 g^3). */
static void gelu_times(float *gate, const float *up, int32_t size) {
  for (int32_t i = 0; i < size; i += LANES) {
    vf g = load(gate + i);
    vf cubic = multiply_add(g * g * g, splat(0.044715f), g);
    store(gate + i, g / (1.0f + exponential(cubic * -1.59576912f)) * load(up + i));
  }
}

/* tanh by way of e^-2|x|, which cannot overflow. */
INLINE vf capped(vf value, float cap) {
  vf e = exponential(absolute(value) / cap * -2.0f);
  vf bounded = (1.0f - e) / (1.0f + e) * cap;
  return choose(value < 0, -bounded, bounded);
}
static void soft_cap(float *x, int32_t size, float cap) {
  for (int32_t i = 0; i < size; i += LANES) store(x + i, capped(load(x + i), cap));
}

/* x as integers that fit in 16 bits, half to even; what is not a number becomes 0. */
INLINE void fix_vector(vf x, int16_t *to) {
#ifdef ROUNDED
  narrow_words(to, ROUNDED(x)); /* of what is not a number the lower half is 0 */
#else
  const vf shifter = splat(12582912.0f);
  narrow_words(to, ((vi)(x + shifter) - (vi)shifter) & (x == x));
#endif
}
/* The next number from x up, 0 or more, that has three bits behind the first. */
INLINE float up_to_coarse(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  bits = (bits + 0xfffff) & ~(uint32_t)0xfffff;
  memcpy(&x, &bits, sizeof x);
  return x;
}
static float fix(const float *x, int16_t *to, int32_t size, int32_t most, bool coarse) {
  vf top = splat(0);
  for (int32_t i = 0; i < size; i += LANES) top = larger(absolute(load(x + i)), top);
  const float largest = largest_of(top);
  const bool nothing = !(largest > (coarse ? ESP_LEAST_VALUE : 1e-30f)); /* the reciprocal could overflow */
  float scale = nothing ? 0 : largest * (1.0f / (float)most);
  if (coarse) scale = up_to_coarse(scale);
  const float inverse = nothing ? 0 : coarse ? 1.0f / scale : (float)most / largest;
  for (int32_t i = 0; i < size; i += LANES) fix_vector(load(x + i) * inverse, to + i);
  return scale;
}

static float exp_one(float x) { return exponential(splat(x))[0]; }

static void chunk_softmax(const float *x, int32_t size, float *largest, float *sum) {
  float most = -INFINITY;
  int32_t whole = size / 16 * 16;
  vf top = splat(-INFINITY);
  for (int32_t i = 0; i < whole; i += LANES) top = larger(load(x + i), top);
  most = largest_of(top);
  for (int32_t i = whole; i < size; i++) most = x[i] > most ? x[i] : most;
  vf total[PARTS] = {0};
  for (int32_t i = 0; i < whole; i += 16) {
    EACH_PART total[part] = total[part] + exponential(load(x + i + part * LANES) - most);
  }
  float parts[16];
  EACH_PART store(parts + part * LANES, total[part]);
  for (int32_t i = whole; i < size; i++) parts[i % 16] = parts[i % 16] + exp_one(x[i] - most);
  *largest = most;
  *sum = tree_sum(parts);
}

static float half_to_float(uint16_t half) {
  uint16_t halves_in[LANES] = {half};
  return load_half(halves_in)[0];
}

/* A row's scale or minimum among those of its 16 rows: a half, or what 8 blocks share times a code. */
static float scale_at(const uint8_t *scales, const uint8_t *shared, int part, int lane, bool super) {
  uint16_t half;
  memcpy(&half, (super ? shared : scales) + (size_t)lane * sizeof half, sizeof half);
  const float value = half_to_float(half);
  return super ? value * (float)(int8_t)scales[part * ESP_GROUP + lane] : value;
}

static void dequantize_row(const EspMatrix *matrix, int32_t row, float *out) {
  const EspFormat format = esp_format(matrix->type);
  const uint8_t *group = matrix->data + (size_t)(row / ESP_GROUP) * matrix->group_bytes;
  const int lane = row % ESP_GROUP, inputs = ESP_BLOCK / format.scales;
  for (int32_t block = 0; block < matrix->blocks; block++, out += ESP_BLOCK) {
    const EspPlace place = esp_place(format, block);
    const uint8_t *shared = group + place.shared, *scales = group + place.head, *quants = group + place.quants;
    for (int part = 0; part < format.scales; part++) {
      const float scale = scale_at(scales, shared, part, lane, format.super);
      const float min =
          format.min ? scale_at(scales + esp_scale_bytes(format), shared + ESP_SHARED_BYTES / 2, part, lane, format.super) : 0;
      for (int i = part * inputs; i < (part + 1) * inputs; i++) {
        out[i] = (float)(one_weight(quants, format.bits, lane, i) - format.zero) * scale + min;
      }
    }
  }
}
