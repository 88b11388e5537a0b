/** @file Outcomes of steps made by hand, for tests of drafters. */

import type { StepOutcome } from "../src/draft/drafter.ts";
import type { Pass } from "../src/target/target.ts";
import type { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../src/types.ts";

/** A pass whose rows are given as lists of top tokens, most likely first, all of one length. */
export function passOfRows(rows: readonly (readonly TokenId[])[]): Pass {
  const k = rows[0]!.length;
  return {
    size: rows.length,
    k,
    tokens: Int32Array.from(rows.flat()),
    logProbs: new Float32Array(rows.length * k),
    picks: new Int32Array(0),
    logits: () => new Float32Array(0),
    hidden: () => new Float32Array(0),
  };
}

/** A verified step on `tree` whose row of each node starts at 100 * (node + 1). */
export function outcomeOf(
  tree: DraftTree,
  path: readonly NodeIndex[],
  bonus: TokenId,
  position = 0,
): StepOutcome {
  const rows = Array.from({ length: tree.size }, (_, node) =>
    Array.from({ length: 10 }, (_, i) => 100 * (node + 1) + i),
  );
  return { tree, pass: passOfRows(rows), path, bonus, position };
}
