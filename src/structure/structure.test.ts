import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Candidates, Drafter } from "../draft/drafter.ts";
import { gumbel, positionKey, uniform } from "../random.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { BestFirst } from "./best-first.ts";
import { ByLevel } from "./by-level.ts";
import { type Candidate, Frontier } from "./frontier.ts";
import type { Structure } from "./structure.ts";
import { RECYCLING_TEMPLATE } from "./template.ts";

/** Guesses made from a hash of the node's token and depth: `width` tokens of falling probability. */
function hashDrafter(seed: number, width: number, vocabSize: number, later = false): Drafter {
  const answer = (tree: DraftTree, node: number): Candidates => {
    const key = positionKey(seed, tree.tokens[node]! + 100 * tree.depths[node]!);
    const tokens = [...Array(vocabSize).keys()]
      .sort((a, b) => gumbel(key, b) - gumbel(key, a))
      .slice(0, width);
    const probs = tokens.map((_, i) => uniform(key, i) / (i + 1)).sort((a, b) => b - a);
    return { tokens, probs };
  };
  return {
    name: "hash",
    rows: { pass: 0, prompt: 0 },
    begin() {},
    expand: (tree, nodes) => {
      const answers = nodes.map((node) => answer(tree, node));
      return later ? Promise.resolve(answers) : answers;
    },
    observe() {},
  };
}

async function grown(
  drafters: Drafter[],
  nodes: number,
  depth: number,
  structure: Structure = new BestFirst(),
) {
  const tree = new DraftTree(3, 128);
  await structure.grow(tree, drafters, { nodes, depth });
  tree.check();
  return tree;
}

describe("Frontier", () => {
  it("gives the most valuable first, the older of equals", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 8 })), { maxLength: 60 }), (moves) => {
        const frontier = new Frontier();
        const model: Candidate[] = [];
        for (const [token, value] of moves.entries()) {
          if (value === null) {
            const best = model.reduce<Candidate | undefined>(
              (a, b) => (a && a.value >= b.value ? a : b),
              undefined,
            );
            expect(frontier.pop()).toBe(best);
            if (best) model.splice(model.indexOf(best), 1);
          } else {
            const candidate = { parent: 0, token, prob: 1, value, sources: 1, rank: 0 };
            frontier.push(candidate);
            model.push(candidate);
          }
        }
        frontier.clear();
        expect(frontier.pop()).toBeUndefined();
      }),
    );
  });
});

describe("BestFirst", () => {
  it("keeps the n most valuable of all nodes within the depth", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 4 }),
        async (seed, n, depth) => {
          const drafter = hashDrafter(seed, 3, 20);
          const everything = await grown([drafter], 128, depth);
          const tree = await grown([drafter], n, depth);
          const best = [...everything.values.slice(0, everything.size)].sort((a, b) => b - a).slice(0, n);
          expect([...tree.values.slice(0, tree.size)]).toEqual(best);
          expect(Math.max(...tree.depths.slice(0, tree.size))).toBeLessThanOrEqual(depth);
        },
      ),
    );
  });

  it("fuses drafters: one node for one token, marked with all who proposed it", async () => {
    const fixed = (tokens: number[], probs: number[]): Drafter => ({
      ...hashDrafter(0, 0, 1),
      expand: (tree, nodes) =>
        nodes.map((node) => (tree.depths[node] === 0 ? { tokens, probs } : { tokens: [], probs: [] })),
    });
    const tree = await grown([fixed([5, 6], [0.5, 0.1]), fixed([7, 5], [0.4, 0.3])], 8, 4);
    expect(tree.size).toBe(4);
    expect([5, 7, 6].map((token) => tree.sources[tree.child(0, token)])).toEqual([3, 2, 1]);
    expect(tree.tokens.slice(1, 4)).toEqual(Int32Array.of(5, 7, 6));
  });

  it("waits for drafters that answer later", async () => {
    const now = await grown([hashDrafter(1, 4, 9)], 20, 5);
    const later = await grown([hashDrafter(1, 4, 9, true)], 20, 5);
    expect(later.tokens.slice(0, later.size)).toEqual(now.tokens.slice(0, now.size));
  });
});

describe("ByLevel", () => {
  const options = { width: 4, depth: 5 };
  const counting = (drafter: Drafter) => {
    const questions: number[] = [];
    const expand: Drafter["expand"] = (tree, nodes, width) => {
      questions.push(nodes.length);
      return drafter.expand(tree, nodes, width);
    };
    return { questions, drafter: { ...drafter, expand } };
  };

  it("asks once a level, about its most valuable nodes, and keeps the most valuable of all levels", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 30 }),
        fc.nat(7),
        fc.boolean(),
        async (seed, n, depth, later) => {
          const { drafter, questions } = counting(hashDrafter(seed, 4, 20, later));
          const tree = await grown([drafter], n, depth, new ByLevel(options));
          const levels = Math.min(depth, options.depth);
          expect(questions).toEqual(n === 1 ? [] : [1, 4, 4, 4, 4].slice(0, levels));
          const all = await grown([drafter], 128, depth, new ByLevel(options));
          expect(all.size).toBe(1 + 4 * levels);
          const best = [...all.values.slice(0, all.size)].sort((a, b) => b - a).slice(0, n);
          expect([...tree.values.slice(0, tree.size)]).toEqual(best);
        },
      ),
    );
  });

  it("fuses drafters", async () => {
    const drafters = [hashDrafter(1, 4, 6), hashDrafter(2, 4, 6)];
    const tree = await grown(drafters, 30, 3, new ByLevel(options));
    expect(new Set(tree.sources.slice(1, tree.size))).toEqual(new Set([1, 2, 3]));
  });

  it("leaves out nodes that are not worth their price, and asks no further than pays", async () => {
    const halves: Drafter = {
      ...hashDrafter(0, 0, 1),
      expand: (_, nodes) => nodes.map(() => ({ tokens: [1, 2], probs: [0.5, 0.2] })),
    };
    const { drafter, questions } = counting(halves);
    const draft = async (prices?: { ms: number; node: number }) => {
      questions.length = 0;
      const tree = new DraftTree(3, 128);
      await new ByLevel(options).grow(tree, [drafter], { nodes: 128, depth: 5, prices });
      return [...tree.values.slice(1, tree.size)];
    };
    expect((await draft()).length).toBe(2 + 4 * 4);
    expect(questions.length).toBe(5);
    expect(await draft({ ms: 0, node: 0.15 })).toEqual([0.5, 0.25, 0.2]);
    expect(questions).toEqual([1, 2]);
    // However dear time is, the first question is asked: else nothing would ever be known of what questions take.
    expect(await draft({ ms: 1e9, node: 0 })).toEqual([0.5, 0.2]);
    expect(questions).toEqual([1]);
  });
});

describe("RECYCLING_TEMPLATE", () => {
  const place = (path: number[]) =>
    path.reduce((at, rank) => (at < 0 ? -1 : RECYCLING_TEMPLATE.child(at, rank)), 0);

  it("has the paper's 80 nodes", async () => {
    expect(RECYCLING_TEMPLATE.size).toBe(81);
    const drafter = hashDrafter(2, 8, 100);
    const tree = await grown([drafter], 128, 9, new BestFirst(RECYCLING_TEMPLATE));
    const byDepth = new Array(7).fill(0);
    for (let node = 0; node < tree.size; node++) byDepth[tree.depths[node]!]++;
    expect(byDepth).toEqual([1, 8, 21, 25, 15, 8, 3]);
  });

  it("has these paths and not those", () => {
    const inside = [[7], [1, 3], [2, 2], [3, 1], [7, 0], [0, 0, 7], [0, 7, 0], [1, 1, 0], [5, 0, 0]];
    const deep = [
      [0, 0, 0, 4],
      [0, 0, 1, 1],
      [3, 0, 0, 0],
      [0, 0, 0, 0, 2],
      [1, 0, 0, 0, 0],
      [0, 0, 0, 1, 0, 0],
    ];
    for (const path of [...inside, ...deep, [0, 0, 0, 0, 0, 1]]) expect(place(path)).toBeGreaterThan(0);
    const outside = [[8], [1, 4], [4, 1], [6, 0, 0], [0, 1, 3], [0, 0, 5, 0], [0, 3, 0, 0], [0, 0, 0, 3, 0]];
    for (const path of [...outside, [0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0]]) {
      expect(place(path)).toBe(-1);
    }
  });
});
