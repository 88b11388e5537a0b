/** @file Candidates of several drafters for one node become one list: a token is one node, whoever proposed it. */

import type { Candidates } from "../draft/drafter.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";

export interface Fused {
  readonly token: TokenId;
  prob: number;
  /** Bit set of the drafters that proposed it. */
  sources: number;
}

/** Makes one list of what the drafters answered about `node` of `tree`; drafter i marks its tokens with bit i. */
export type Merge = (answers: readonly Candidates[], tree: DraftTree, node: NodeIndex) => Fused[];

/** The larger probability counts. */
export function mergeByMaximum(answers: readonly Candidates[]): Fused[] {
  const fused: Fused[] = [];
  for (const [i, candidates] of answers.entries()) fuse(fused, candidates, 1 << i);
  return fused;
}

/** Adds the candidates of the drafter of bit `source` to those of the drafters before; the larger probability counts. */
export function fuse(fused: Fused[], candidates: Candidates, source: number): void {
  for (let i = 0; i < candidates.tokens.length; i++) {
    const token = candidates.tokens[i]!;
    const prob = candidates.probs[i]!;
    const same = fused.find((entry) => entry.token === token);
    if (same === undefined) fused.push({ token, prob, sources: source });
    else {
      same.prob = Math.max(same.prob, prob);
      same.sources |= source;
    }
  }
}
