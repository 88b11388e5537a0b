import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DraftTree } from "./draft-tree.ts";

describe("DraftTree", () => {
  it("keeps values, depths and paths consistent for any order of pushes", () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(), fc.nat(20), fc.double({ min: 0, max: 1, noNaN: true })), {
          maxLength: 40,
        }),
        (pushes) => {
          const tree = new DraftTree(7, 64);
          for (const [at, token, prob] of pushes) {
            const parent = at % tree.size;
            if (tree.child(parent, token) < 0) tree.push(parent, token, prob);
          }
          tree.check();
          for (let node = 0; node < tree.size; node++) {
            const path = tree.path(node);
            expect(path[0]).toBe(0);
            expect(path.length).toBe(tree.depths[node]! + 1);
            const product = path.reduce((value, at) => value * tree.probs[at]!, 1);
            expect(tree.values[node]).toBeCloseTo(product, 12);
            for (const child of tree.children(node))
              expect(tree.child(node, tree.tokens[child]!)).toBe(child);
          }
        },
      ),
    );
  });

  it("forgets everything on reset", () => {
    const tree = new DraftTree(1, 4);
    tree.push(tree.push(0, 2, 0.5), 3, 0.5, 6);
    tree.reset(9);
    expect([tree.size, tree.root, tree.child(0, 2)]).toEqual([1, 9, -1]);
    const node = tree.push(0, 3, 0.25);
    expect([tree.child(0, 3), tree.child(node, 3), tree.values[node], tree.sources[node]]).toEqual([
      1, -1, 0.25, 1,
    ]);
    tree.check();
  });

  it("refuses what does not fit", () => {
    const tree = new DraftTree(1, 2);
    tree.push(0, 2, 1);
    expect(() => tree.push(0, 3, 1)).toThrow("full at 2 nodes");
    expect(() => new DraftTree(1, 2).push(1, 3, 1)).toThrow("parent 1");
    expect(() => new DraftTree(1, 0)).toThrow("capacity is 0");
  });
});
