/**
 * @file The token of a row with the best logit and noise together: a sample of its softmax (Gumbel-max). The engine does the same in
 * native/pick.h, with the same bits.
 */

import { gumbel, uniform } from "../random.ts";
import type { TokenId } from "../types.ts";
import { inNucleus } from "./nucleus.ts";

/** How a token is picked out of each row of a text. The noise is looked up by seed and position. */
export interface PickRule {
  /** An integer from 0 to 2^32 - 1. */
  readonly seed: number;
  /** What logits are multiplied by, > 0: 1 / temperature. */
  readonly scale: number;
  /** How far below the best a token may be in logits * scale, >= 0; Infinity: any. */
  readonly reach: number;
  /** The likeliest tokens alone may be picked that have this part of the probability of all together, above 0; default 1: any. */
  readonly topP?: number | undefined;
}

/** No noise is larger than this: see {@link gumbel}. */
const MAX_NOISE = 23;
const STEPS = 4;
/** Noise above i / STEPS needs a uniform number above NOISE_NEEDS[i], because -log(u) >= 1 - u. */
const NOISE_NEEDS = Float64Array.from({ length: MAX_NOISE * STEPS + 1 }, (_, i) => 1 - Math.exp(-i / STEPS));

/**
 * The token with the largest (logit - best) * scale + noise, the lowest id of equals, among those at most `reach` below the best token, `top`, and in the
 * nucleus of `topP`. Of those exactly `reach` below, ids up to `last` alone.
 */
export function pickToken(
  logits: Float32Array,
  top: TokenId,
  { scale, reach, topP = 1 }: PickRule,
  key: number,
  last = Number.POSITIVE_INFINITY,
): TokenId {
  let choice = pickWithin(logits, top, scale, reach, key, last);
  // Where it is not kept, neither is what comes behind it: the best of what comes before is next.
  while (choice !== top && topP < 1 && !inNucleus(logits, top, choice, scale, topP)) {
    const delta = (logits[top]! - logits[choice]!) * scale;
    choice = pickWithin(logits, top, scale, delta, key, choice - 1);
  }
  return choice;
}

/** Most tokens are dropped by the bound on their noise, before a logarithm is taken. */
function pickWithin(
  logits: Float32Array,
  top: TokenId,
  scale: number,
  reach: number,
  key: number,
  last: number,
): TokenId {
  const topLogit = logits[top]!;
  let choice = top;
  let best = gumbel(key, top);
  let limit = Math.min(reach, MAX_NOISE - best);
  for (let token = 0; token < logits.length; token++) {
    const delta = (topLogit - logits[token]!) * scale;
    if (delta > limit) continue;
    const needed = best + delta;
    if (needed > 0 && uniform(key, token) < NOISE_NEEDS[(needed * STEPS) | 0]!) continue;
    if (delta === reach && token > last) continue;
    const score = gumbel(key, token) - delta;
    if (score > best || (score === best && token < choice)) {
      best = score;
      choice = token;
      limit = Math.min(reach, MAX_NOISE - best);
    }
  }
  return choice;
}
