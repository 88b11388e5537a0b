/**
 * @file Stops when the draft has become unlikely: when the logarithm of its best node's value, of a chain the product of its
 * probabilities, is below a threshold (DDD in AdaEAGLE's comparison, arXiv:2412.18910).
 */

import type { StopRule } from "./stop-rule.ts";

/** `threshold`: a natural logarithm, at most 0. */
export function ddd(threshold: number): StopRule {
  return { continue: ({ best }) => Math.log(best) >= threshold };
}
