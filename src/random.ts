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

/**
 * Standard Gumbel noise: the argmax over tokens of `logit / temperature + gumbel` is a sample of
 * softmax(logit / temperature). Its largest value is below 23.
 */
export function gumbel(key: number, token: TokenId): number {
  return -Math.log(-Math.log(uniform(key, token)));
}
