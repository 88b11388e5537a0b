/** @file Trees of any shape over few tokens, so that they have paths in common. */

import fc from "fast-check";
import { DraftTree } from "../src/tree/draft-tree.ts";

const TOKENS = 5;

/** At most 24 nodes; probabilities may be 0, 1 or equal. No node has two children of one token. */
export function randomTree(): fc.Arbitrary<DraftTree> {
  const node = fc.record({
    parent: fc.nat(),
    token: fc.nat(TOKENS - 1),
    prob: fc.oneof(fc.constantFrom(0, 0.5, 1), fc.double({ min: 0, max: 1, noNaN: true })),
    sources: fc.integer({ min: 1, max: 7 }),
  });
  return fc.array(node, { maxLength: 23 }).map((nodes) => {
    const tree = new DraftTree(0, 24);
    for (const { parent, token, prob, sources } of nodes) {
      const at = parent % tree.size;
      if (tree.child(at, token) < 0) tree.push(at, token, prob, sources);
    }
    return tree;
  });
}
