import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { randomTree } from "../../test/random-tree.ts";
import { pathsOf as allPathsOf, pathOf } from "../../test/table-drafter.ts";
import { DraftTree } from "./draft-tree.ts";
import { fuse } from "./fuse.ts";
import { pruneBranches, pruneToBudget } from "./prune.ts";

const trees = randomTree();

const pathsOf = (tree: DraftTree) => new Set(allPathsOf(tree));

const sourcesOf = (tree: DraftTree) =>
  new Map(Array.from({ length: tree.size }, (_, node) => [pathOf(tree, node), tree.sources[node]!]));

const larger = (a: DraftTree, b: DraftTree) => (twins: { inA: number; inB: number }) =>
  Math.max(twins.inA < 0 ? 0 : a.probs[twins.inA]!, twins.inB < 0 ? 0 : b.probs[twins.inB]!);

function fused(a: DraftTree, b: DraftTree): DraftTree {
  const into = new DraftTree(a.root, a.size + b.size);
  fuse(a, b, into, larger(a, b));
  into.check();
  return into;
}

describe("fuse", () => {
  it("is the union of paths, each once, with the sources of both", () => {
    fc.assert(
      fc.property(trees, trees, (a, b) => {
        const both = fused(a, b);
        const paths = pathsOf(both);
        expect(paths).toEqual(new Set([...pathsOf(a), ...pathsOf(b)]));
        expect(paths.size).toBe(both.size);
        const [inA, inB] = [sourcesOf(a), sourcesOf(b)];
        for (const [path, sources] of sourcesOf(both)) {
          if (path !== "") expect(sources).toBe((inA.get(path) ?? 0) | (inB.get(path) ?? 0));
        }
      }),
    );
  });

  it("does not change a tree by itself, nor the union by a part of it", () => {
    fc.assert(
      fc.property(trees, trees, (a, b) => {
        expect(pathsOf(fused(a, a))).toEqual(pathsOf(a));
        const both = fused(a, b);
        expect(pathsOf(fused(both, b))).toEqual(pathsOf(both));
      }),
    );
  });

  it("has the same paths, sources and probabilities whichever tree comes first", () => {
    fc.assert(
      fc.property(trees, trees, (a, b) => {
        const [ab, ba] = [fused(a, b), fused(b, a)];
        expect(pathsOf(ab)).toEqual(pathsOf(ba));
        expect(new Map([...sourcesOf(ab)].sort())).toEqual(new Map([...sourcesOf(ba)].sort()));
        const values = (tree: DraftTree) => tree.values.subarray(0, tree.size).toSorted();
        expect(values(ab)).toEqual(values(ba));
      }),
    );
  });

  it("says where nodes and their parents are in both", () => {
    fc.assert(
      fc.property(trees, trees, (a, b) => {
        const into = new DraftTree(a.root, a.size + b.size);
        const twins = fuse(a, b, into, () => 0.5);
        expect(twins.length).toBe(into.size - 1);
        for (const [i, { inA, inB, parentInA, parentInB }] of twins.entries()) {
          const path = (tree: DraftTree, node: number) => tree.path(node).map((at) => tree.tokens[at]);
          const whole = path(into, i + 1);
          expect(inA >= 0 || inB >= 0).toBe(true);
          if (inA >= 0) expect(path(a, inA)).toEqual(whole);
          if (inB >= 0) expect(path(b, inB)).toEqual(whole);
          expect(parentInA >= 0).toBe([...pathsOf(a)].includes(whole.slice(1, -1).join(" ")));
          expect(parentInB >= 0).toBe([...pathsOf(b)].includes(whole.slice(1, -1).join(" ")));
        }
      }),
    );
  });
});

describe("pruneBranches", () => {
  it("keeps the paths that begin with what is kept, and all of them", () => {
    fc.assert(
      fc.property(trees, fc.uniqueArray(fc.nat(4)), (tree, firsts) => {
        const into = new DraftTree(tree.root, tree.size);
        pruneBranches(tree, (token) => firsts.includes(token), into);
        into.check();
        const kept = [...pathsOf(tree)].filter((path) => path === "" || firsts.includes(Number(path[0])));
        expect([...pathsOf(into)]).toEqual(kept);
      }),
    );
  });
});

describe("pruneToBudget", () => {
  it("keeps the most valuable nodes, most valuable first, never above the budget and always a tree", () => {
    fc.assert(
      fc.property(trees, trees, fc.integer({ min: 1, max: 30 }), (a, b, most) => {
        const both = fused(a, b);
        const into = new DraftTree(both.root, most);
        pruneToBudget(both, most, into);
        into.check();
        expect(into.size).toBe(Math.min(most, both.size));
        const all = pathsOf(both);
        expect([...pathsOf(into)].filter((path) => !all.has(path))).toEqual([]);
        const values = [...both.values.subarray(0, both.size)].sort((x, y) => y - x);
        expect([...into.values.subarray(0, into.size)]).toEqual(values.slice(0, into.size));
      }),
    );
  });
});
