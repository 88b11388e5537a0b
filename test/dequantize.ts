/** @file What blocks of weights in a GGUF file mean, as plainly as it can be said. */

/** Numbers per block. */
const BLOCK = 32;

/** The values of whole blocks, row by row as they stand in the file. `type` is GGML's name of it. */
export function dequantize(type: string, bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const half = (at: number) => fromHalf(view.getUint16(at, true));
  /** Nibbles: the low ones of 16 bytes are the first half of a block, the high ones the second. */
  const nibble = (at: number, i: number) => (i < 16 ? bytes[at + i]! & 15 : bytes[at + i - 16]! >> 4);

  switch (type) {
    case "F32":
      return each(bytes.length / 4, (i) => view.getFloat32(4 * i, true));
    case "F16":
      return each(bytes.length / 2, (i) => half(2 * i));
    case "Q4_0": // scale, 32 nibbles that stand for -8 to 7
      return blocks(18, bytes, (at, i) => half(at) * (nibble(at + 2, i) - 8));
    case "Q4_1": // scale, minimum, 32 nibbles that stand for 0 to 15
      return blocks(20, bytes, (at, i) => half(at) * nibble(at + 4, i) + half(at + 2));
    case "Q8_0": // scale, 32 signed bytes
      return blocks(34, bytes, (at, i) => half(at) * view.getInt8(at + 2 + i));
    default:
      throw new TypeError(`no meaning of ${type} is known here`);
  }
}

function each(length: number, value: (i: number) => number): Float32Array {
  return Float32Array.from({ length }, (_, i) => value(i));
}

function blocks(size: number, bytes: Uint8Array, value: (at: number, i: number) => number): Float32Array {
  return each((bytes.length / size) * BLOCK, (i) => value(size * Math.floor(i / BLOCK), i % BLOCK));
}

/** The value of a 16-bit float: 1 bit of sign, 5 of exponent, 10 of fraction. */
export function fromHalf(bits: number): number {
  const sign = bits >> 15 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 0) return sign * fraction * 2 ** -14;
  if (exponent < 31) return sign * (1 + fraction) * 2 ** (exponent - 15);
  return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
}

/** The nearest number that a 16-bit float can hold, half to even; not for numbers beyond 65,504. */
export function roundToHalf(x: number): number {
  if (x === 0) return x;
  const step = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  return roundHalfToEven(x / step) * step;
}

export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const above = x - floor;
  if (above !== 0.5) return above < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
