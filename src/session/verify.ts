/**
 * @file Verify: the target's own token is picked once per visited node, and the walk goes on while the draft has it.
 * Every token that comes out is the target's choice at its own prefix, so the text is right for any tree.
 */

import type { History } from "../sampling/history.ts";
import type { Sampler } from "../sampling/sampler.ts";
import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";

export interface Verified {
  /** Node 0, then each accepted node. */
  readonly path: NodeIndex[];
  /** The first token that the draft did not have. */
  readonly bonus: TokenId;
}

/** Walks down from the root. `history`, the sampler's text, ends with the root's token; all tokens picked are added to it. */
export function verify(tree: DraftTree, pass: Pass, sampler: Sampler, history: History): Verified {
  const path: NodeIndex[] = [0];
  for (;;) {
    const node = path[path.length - 1]!;
    const token = sampler.pick(pass, node);
    history.push(token);
    const child = tree.child(node, token);
    if (child < 0) return { path, bonus: token };
    path.push(child);
  }
}
