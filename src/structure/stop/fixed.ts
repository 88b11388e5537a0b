/** @file The same number of levels in every step: the length of a chain, the depth of a tree. */

import type { StopRule } from "./stop-rule.ts";

/** Stops after `levels` levels. */
export function fixed(levels: number): StopRule {
  const reach = { levels, worth: 0 };
  return { continue: (progress) => progress.levels < levels, reach: () => reach };
}
