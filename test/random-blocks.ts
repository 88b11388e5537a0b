/** @file Random blocks of weights whose values are of a size, for tests. */

import { ggmlTypeNamed } from "../src/checkpoint/ggml-types.ts";
import type { Numbers } from "./native-model.ts";

interface Halves {
  /** Bytes before a block's scale, and its exponent for values whose size is near 1/16: 2^(exponent - 15) to the next power. */
  readonly scale: readonly [at: number, exponent: number];
  /** The same of its minimum, which centres the values; that of K types is subtracted. */
  readonly min?: readonly [at: number, exponent: number, sign: -1 | 1];
}

const halves: Readonly<Record<string, Halves>> = {
  Q4_0: { scale: [0, 8] },
  Q4_1: { scale: [0, 8], min: [2, 11, -1] },
  Q5_0: { scale: [0, 7] },
  Q5_1: { scale: [0, 7], min: [2, 11, -1] },
  Q8_0: { scale: [0, 4] },
  IQ4_NL: { scale: [0, 4] },
  Q2_K: { scale: [80, 7], min: [82, 7, 1] },
  Q3_K: { scale: [108, 5] },
  Q4_K: { scale: [0, 3], min: [2, 6, 1] },
  Q5_K: { scale: [0, 2], min: [2, 6, 1] },
  Q6_K: { scale: [208, 1] },
};

/** Whole blocks of `type`: random bytes with scales that keep the values moderate. */
export function randomBlocks(type: string, next: Numbers, byteLength: number): Uint8Array {
  const bytes = Buffer.alloc(byteLength);
  const { blockBytes } = ggmlTypeNamed(type);
  const known = halves[type];
  if (!known) {
    for (let at = 0; at < byteLength; at += blockBytes)
      writeFloat(type, bytes, at, (next(2001) - 1000) / 8000);
    return bytes;
  }
  for (let at = 0; at < byteLength; at++) bytes[at] = next(256);
  for (let at = 0; at < byteLength; at += blockBytes) {
    const sign = next(2);
    const larger = next(2);
    const half = (place: number, exponent: number, negative: number) =>
      bytes.writeUInt16LE((negative << 15) | ((exponent + larger) << 10) | next(1024), at + place);
    half(...known.scale, sign);
    if (known.min) half(known.min[0], known.min[1], known.min[2] < 0 ? 1 - sign : sign);
  }
  return bytes;
}

function writeFloat(type: string, bytes: Buffer, at: number, value: number): void {
  if (type === "F32") {
    bytes.writeFloatLE(value, at);
    return;
  }
  const bits = new Uint32Array(Float32Array.of(value).buffer)[0]!;
  if (type === "BF16") bytes.writeUInt16LE(bits >>> 16, at);
  if (type === "F16") bytes.writeUInt16LE(halfOf(bits), at);
}

/** A 16-bit float from the bits of a 32-bit one of moderate size, cut off. */
function halfOf(bits: number): number {
  const exponent = ((bits >>> 23) & 255) - 112;
  return exponent <= 0 ? 0 : ((bits >>> 16) & 0x8000) | (exponent << 10) | ((bits >>> 13) & 1023);
}
