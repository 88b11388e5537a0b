/*
 * quants.h - weights of a block of 32 inputs x 16 rows, unpacked into bytes. A "four" is 4 inputs of LANES rows: byte b of lane r
 * is input 4 * four + b of row r. Written once in vectors.h's algebra; what lies where is told in espalier.h.
 */

typedef uint16_t vw __attribute__((vector_size(LANES * 4)));

INLINE vw load_bytes(const uint8_t *from) {
  vw value;
  memcpy(&value, from, sizeof value);
  return value;
}

/* The low bits `mask` of every byte of `from` >> shift, or << -shift. */
INLINE vw bits_of(vw from, const int shift, const int mask) {
  return (shift < 0 ? from << (uint16_t)-shift : from >> (uint16_t)shift) & (uint16_t)(mask * 0x101);
}

/* Weights of one four, unsigned, of the 16 rows' part `part`. All but the first argument are constants once this is inlined. */
INLINE vw four_weights(const uint8_t *quants, const int bits, const int four, const int part) {
  quants += 4 * LANES * part;
  if (bits == 8) return load_bytes(quants + 64 * four);
  vw weights = {0};
  if (bits >= 4) { /* plane of 4: two fours a line */
    weights = bits_of(load_bytes(quants + 64 * (four / 2)), four % 2 * 4, 15);
    quants += 256;
  }
  if (bits == 6 || bits < 4) { /* plane of 2: four fours a line */
    const int at = bits == 6 ? 4 : 0;
    weights |= bits_of(load_bytes(quants + 64 * (four / 4)), four % 4 * 2 - at, 3 << at);
    quants += 128;
  }
  if (bits == 5 || bits == 3) { /* plane of 1: all in one line */
    const int at = bits - 1;
    weights |= bits_of(load_bytes(quants), four - at, 1 << at);
  }
  return weights;
}

/* The same for one weight. */
INLINE int one_weight(const uint8_t *quants, const int bits, int row, int input) {
  const int four = input / 4;
  quants += 4 * row + input % 4;
  if (bits == 8) return quants[64 * four];
  int weight = 0, at = 0;
  if (bits >= 4) {
    weight = quants[64 * (four / 2)] >> four % 2 * 4 & 15;
    quants += 256;
    at = 4;
  }
  if (bits == 6 || bits < 4) {
    weight |= (quants[64 * (four / 4)] >> four % 4 * 2 & 3) << at;
    quants += 128;
    at += 2;
  }
  if (bits == 5 || bits == 3) weight |= (*quants >> four & 1) << at;
  return weight;
}
