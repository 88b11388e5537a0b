/** @file What blocks of weights in a GGUF file mean, as plainly as it can be said. */

import { ggmlTypeNamed } from "../src/checkpoint/ggml-types.ts";

type Values = (block: Block, i: number) => number;

/** The bytes of one block. */
class Block {
  readonly #view: DataView;
  readonly #at: number;

  constructor(view: DataView, at: number) {
    this.#view = view;
    this.#at = at;
  }

  byte(at: number): number {
    return this.#view.getUint8(this.#at + at);
  }
  int8(at: number): number {
    return this.#view.getInt8(this.#at + at);
  }
  half(at: number): number {
    return fromHalf(this.#view.getUint16(this.#at + at, true));
  }
  bit(at: number, i: number): number {
    return (this.byte(at + (i >> 3)) >> (i & 7)) & 1;
  }
  /** 32 of 4 bits: the low ones of 16 bytes are the first half of a block, the high ones the second. */
  nibble(at: number, i: number): number {
    return i < 16 ? this.byte(at + i) & 15 : this.byte(at + i - 16) >> 4;
  }
  /** Value i of those that take `width` bits: 32 bytes hold 32 of them in their lowest bits, 32 more in the next, and so on. */
  plane(width: 1 | 2 | 4, at: number, i: number): number {
    const per = 8 / width;
    const group = Math.floor(i / (32 * per));
    return (this.byte(at + 32 * group + (i % 32)) >> (width * (Math.floor(i / 32) % per))) & (2 ** width - 1);
  }
  /** Scale and minimum `i` of 8, 6 bits each, in the 12 bytes of Q4_K and Q5_K. */
  sixBits(at: number, i: number): { scale: number; min: number } {
    const low = (j: number) => this.byte(at + j) & 63;
    if (i < 4) return { scale: low(i), min: low(i + 4) };
    const byte = this.byte(at + i + 4);
    const top = (j: number) => (this.byte(at + j) >> 6) << 4;
    return { scale: (byte & 15) | top(i - 4), min: (byte >> 4) | top(i) };
  }
}

/** What the nibbles of IQ4_NL stand for. */
const CODEBOOK = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/** Value i of a block, which has as many values and bytes as ggml-types.ts says. */
const meanings: Readonly<Record<string, Values>> = {
  F16: (b) => b.half(0),
  Q4_0: (b, i) => b.half(0) * (b.nibble(2, i) - 8),
  Q4_1: (b, i) => b.half(0) * b.nibble(4, i) + b.half(2),
  Q5_0: (b, i) => b.half(0) * ((b.nibble(6, i) | (b.bit(2, i) << 4)) - 16),
  Q5_1: (b, i) => b.half(0) * (b.nibble(8, i) | (b.bit(4, i) << 4)) + b.half(2),
  Q8_0: (b, i) => b.half(0) * b.int8(2 + i),
  IQ4_NL: (b, i) => b.half(0) * CODEBOOK[b.nibble(2, i)]!,
  Q2_K: (b, i) => {
    const codes = b.byte(i >> 4);
    return b.half(80) * (codes & 15) * b.plane(2, 16, i) - b.half(82) * (codes >> 4);
  },
  Q3_K: (b, i) => {
    const at = i >> 4;
    const low = at < 8 ? b.byte(96 + at) & 15 : b.byte(88 + at) >> 4;
    const high = (b.byte(104 + (at % 4)) >> (2 * (at >> 2))) & 3;
    return b.half(108) * ((low | (high << 4)) - 32) * ((b.plane(2, 32, i) | (b.plane(1, 0, i) << 2)) - 4);
  },
  Q4_K: (b, i) => {
    const { scale, min } = b.sixBits(4, i >> 5);
    return b.half(0) * scale * b.plane(4, 16, i) - b.half(2) * min;
  },
  Q5_K: (b, i) => {
    const { scale, min } = b.sixBits(4, i >> 5);
    return b.half(0) * scale * (b.plane(4, 48, i) | (b.plane(1, 16, i) << 4)) - b.half(2) * min;
  },
  Q6_K: (b, i) => {
    // 64 bytes hold 128 times 4 bits: the low nibbles are the first 64.
    const low = (b.byte(64 * (i >> 7) + (i % 64)) >> (4 * ((i >> 6) & 1))) & 15;
    return b.half(208) * b.int8(192 + (i >> 4)) * ((low | (b.plane(2, 128, i) << 4)) - 32);
  },
};

/** The values of whole blocks, row by row as they stand in the file. `type` is GGML's name of it. */
export function dequantize(type: string, bytes: Uint8Array): Float32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (type === "F32") return each(bytes.length / 4, (i) => view.getFloat32(4 * i, true));
  if (type === "BF16") return each(bytes.length / 2, (i) => fromBrainFloat(view.getUint16(2 * i, true)));
  const meaning = meanings[type];
  if (!meaning) throw new TypeError(`no meaning of ${type} is known here`);
  const { blockSize, blockBytes } = ggmlTypeNamed(type);
  return each((bytes.length / blockBytes) * blockSize, (i) =>
    meaning(new Block(view, blockBytes * Math.floor(i / blockSize)), i % blockSize),
  );
}

function each(length: number, value: (i: number) => number): Float32Array {
  return Float32Array.from({ length }, (_, i) => value(i));
}

/** The value of the upper 16 bits of a 32-bit float. */
function fromBrainFloat(bits: number): number {
  return new Float32Array(Uint32Array.of(bits << 16).buffer)[0]!;
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

export function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const above = x - floor;
  if (above !== 0.5) return above < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}
