/**
 * @file Noise that is looked up, never drawn: a pure function of (seed, position, token). Because nothing is drawn in
 * sequence, seeded text depends on the seed alone, with or without drafts.
 */

import type { Position, TokenId } from "./types.ts";

/** Mixes the bits of a 32-bit integer so that every input bit reaches every output bit (Wellons' "lowbias32"). */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
  x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
  return (x ^ (x >>> 15)) >>> 0;
}

/** The part of the noise that all tokens of one position share; pass it to {@link uniform}. */
export function positionKey(seed: number, position: Position): number {
  return mix((mix(seed >>> 0) + Math.imul(position + 1, 0x9e3779b9)) | 0);
}

/** Uniform in the open interval (0, 1), of 32 bits. */
export function uniform(key: number, token: TokenId): number {
  return (mix(key ^ mix((token + 0x85ebca6b) | 0)) + 0.5) / 4294967296;
}

const bits = new DataView(new ArrayBuffer(8));

/** Natural logarithm of a normal number above 0: esp_log of native/numbers.c, since Math.log may differ from one JavaScript engine to the next. */
function log(x: number): number {
  bits.setFloat64(0, x);
  const high = bits.getInt32(0);
  let exponent = (high >>> 20) - 1022;
  bits.setInt32(0, (high & 0xfffff) | 0x3fe00000);
  let m = bits.getFloat64(0); // in [0.5, 1)
  if (m < Math.SQRT1_2) {
    m *= 2;
    exponent--;
  }
  const s = (m - 1) / (m + 1);
  const square = s * s;
  let sum = 0;
  for (let k = 31; k >= 1; k -= 2) sum = sum * square + 1 / k;
  return exponent * Math.LN2 + 2 * s * sum;
}

/**
 * Standard Gumbel noise: the argmax over tokens of `logit / temperature + gumbel` is a sample of
 * softmax(logit / temperature). Its largest value is below 23.
 */
export function gumbel(key: number, token: TokenId): number {
  return -log(-log(uniform(key, token)));
}
