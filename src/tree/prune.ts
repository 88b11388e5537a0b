/** @file Parts of trees: branches by their first token, and the nodes that are worth most. What is left is always a tree. */

import type { NodeIndex, TokenId } from "../types.ts";
import type { DraftTree } from "./draft-tree.ts";

/** Adds to `into`, which has only its root, the branches of `tree` whose first token `keeps` (RASD, arXiv:2503.03434). */
export function pruneBranches(tree: DraftTree, keeps: (token: TokenId) => boolean, into: DraftTree): void {
  const places: NodeIndex[] = [0];
  for (let node = 1; node < tree.size; node++) {
    const parent = tree.parents[node]!;
    const kept = parent === 0 ? keeps(tree.tokens[node]!) : places[parent]! >= 0;
    places[node] = kept ? copy(tree, node, places[parent]!, into) : -1;
  }
}

/**
 * Adds to `into`, which has only its root, the most valuable nodes of `tree` until it has `most`, in falling order of value. No child is
 * worth more than its parent and of equals the older comes first, so parents come before their children.
 */
export function pruneToBudget(tree: DraftTree, most: number, into: DraftTree): void {
  const best = Array.from({ length: tree.size - 1 }, (_, i) => i + 1)
    .sort((a, b) => tree.values[b]! - tree.values[a]! || a - b)
    .slice(0, most - 1);
  const places: NodeIndex[] = [0];
  for (const node of best) places[node] = copy(tree, node, places[tree.parents[node]!]!, into);
}

function copy(tree: DraftTree, node: NodeIndex, parent: NodeIndex, into: DraftTree): NodeIndex {
  return into.push(parent, tree.tokens[node]!, tree.probs[node]!, tree.sources[node]!);
}
