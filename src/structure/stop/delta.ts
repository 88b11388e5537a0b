/**
 * @file OPT-Tree's delta (arXiv:2406.17276, section 4.4): a level must have gained more than delta tokens for another one to be asked
 * for. The paper has delta between 1 and mu, the time of a question in steps of plain decoding, since the next level gains less.
 */

import type { StopRule } from "./stop-rule.ts";

/**
 * Stops when a level gained no more than `delta` tokens. Without a number, delta is the geometric mean of what a question costs as
 * measured and of the gain of the level before: the next level then gains more than it costs, if gains go on falling as they did.
 */
export function delta(delta?: number): StopRule {
  if (delta === undefined)
    return {
      continue: ({ levels, next, price }) => levels === 0 || next > price,
      reach: (price) => ({ levels: Number.POSITIVE_INFINITY, worth: price }),
    };
  return { continue: ({ levels, gain }) => levels === 0 || gain > delta };
}
