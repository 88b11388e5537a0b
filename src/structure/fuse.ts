/** @file Candidates of several drafters for one node become one list: a token is one node, whoever proposed it. */

import type { Candidates } from "../draft/drafter.ts";
import type { TokenId } from "../types.ts";

export interface Fused {
  readonly token: TokenId;
  prob: number;
  /** Bit set of the drafters that proposed it. */
  sources: number;
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
