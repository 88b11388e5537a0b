/**
 * @file Reads what test/reference/logits_reference.py wrote: for each position of some texts, the tokens that transformers
 * finds most likely in fp32, their log-probabilities, and that of all other tokens together.
 */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import type { TokenId } from "../src/types.ts";

interface Header {
  readonly vocabSize: number;
  readonly positions: number;
  /** Tokens kept of each row. */
  readonly kept: number;
  /** Log-probabilities are counted in steps of -1 / stepsPerNat. */
  readonly stepsPerNat: number;
  readonly segments: readonly { readonly name: string; readonly tokens: readonly TokenId[] }[];
}

export interface ReferenceSegment {
  readonly name: string;
  readonly tokens: readonly TokenId[];
  /** What was predicted after each token. */
  readonly rows: readonly ReferenceRow[];
}

export interface ReferenceRow {
  /** Most likely first. */
  readonly tokens: Uint16Array;
  /** Of these tokens, and then of the rest as one; they sum to 1. */
  readonly probs: Float64Array;
}

export function readReference(): ReferenceSegment[] {
  const file = (name: string) => readFileSync(new URL(`fixtures/smollm2-logits.${name}`, import.meta.url));
  const { positions, kept, stepsPerNat, segments }: Header = JSON.parse(file("json").toString());
  const bytes = gunzipSync(file("bin.gz"));
  const restAt = positions * kept * 4;
  if (bytes.length !== restAt + positions * 4) throw new Error("the two parts of the fixture do not fit");

  const readRow = (position: number): ReferenceRow => {
    const at = position * kept * 4;
    const tokens = Uint16Array.from({ length: kept }, (_, i) => bytes.readUInt16LE(at + 2 * i));
    const probs = new Float64Array(kept + 1);
    for (let i = 0; i < kept; i++) {
      probs[i] = Math.exp(-bytes.readUInt16LE(at + 2 * (kept + i)) / stepsPerNat);
    }
    probs[kept] = Math.exp(bytes.readFloatLE(restAt + 4 * position));
    // Rounding has moved the sum a little.
    const sum = probs.reduce((total, prob) => total + prob);
    return { tokens, probs: probs.map((prob) => prob / sum) };
  };
  let position = 0;
  return segments.map(({ name, tokens }) => ({
    name,
    tokens,
    rows: tokens.map(() => readRow(position++)),
  }));
}

/**
 * KL(reference || softmax(logits)) in nats, with all tokens that were not kept taken as one outcome; so it is a lower bound of
 * the divergence over the whole vocabulary, and with these texts about a tenth below it.
 */
export function divergence({ tokens, probs }: ReferenceRow, logits: Float32Array): number {
  let largest = Number.NEGATIVE_INFINITY;
  for (const logit of logits) largest = Math.max(largest, logit);
  const kept = new Set(tokens);
  let sumOfRest = 0;
  let sum = 0;
  for (const [token, logit] of logits.entries()) {
    const weight = Math.exp(logit - largest);
    sum += weight;
    if (!kept.has(token)) sumOfRest += weight;
  }
  let total = 0;
  for (const [i, p] of probs.entries()) {
    const q = (i < tokens.length ? Math.exp(logits[tokens[i]!]! - largest) : sumOfRest) / sum;
    if (p > 0) total += p * Math.log(p / q);
  }
  return total;
}

export function argmax(logits: Float32Array): TokenId {
  let best = 0;
  for (const [token, logit] of logits.entries()) if (logit > logits[best]!) best = token;
  return best;
}
