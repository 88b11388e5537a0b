import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  grown,
  hashDrafter,
  pathDrafter,
  pathsOf,
  tableDrafter,
  valuesOf,
} from "../../test/table-drafter.ts";
import type { Drafter, Outlook } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { chain } from "./chain.ts";
import { eagle2 } from "./eagle-2.ts";
import { OptTree } from "./opt-tree.ts";
import { QuestionTimes } from "./question-times.ts";
import { ddd } from "./stop/ddd.ts";
import { delta } from "./stop/delta.ts";
import { fixed } from "./stop/fixed.ts";
import { any, type Progress, type StopRule } from "./stop/stop-rule.ts";

const never: StopRule = { continue: () => true };
const VOCAB = 4;
const sharpness = fc.constantFrom(0.3, 1, 3);

/** Expected accepted tokens of a tree. */
const expected = (tree: DraftTree) => valuesOf(tree).reduce((sum, value) => sum + value, -1);

/** The largest expectation of all trees of `nodes` nodes with at most `depth` levels, each looked at. */
function bruteForce(drafter: Drafter, nodes: number, depth: number): number {
  const tree = new DraftTree(3, nodes);
  let best = 0;
  // Every tree has one order in which no node comes before one that was passed over.
  const visit = (open: readonly { parent: number; token: number; prob: number }[], sum: number): void => {
    best = Math.max(best, sum);
    if (tree.size === nodes) return;
    for (const [at, { parent, token, prob }] of open.entries()) {
      const node = tree.push(parent, token, prob);
      visit([...open.slice(at + 1), ...candidates(node)], sum + tree.values[node]!);
      tree.truncate(node);
    }
  };
  const candidates = (node: number) => {
    if (tree.depths[node] === depth) return [];
    const [{ tokens, probs }] = drafter.expand(tree, [node], VOCAB) as [
      { tokens: number[]; probs: number[] },
    ];
    return tokens.map((token, i) => ({ parent: node, token, prob: probs[i]! }));
  };
  visit(candidates(0), 0);
  return best;
}

describe("OptTree", () => {
  it("is the best of all trees of n nodes", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 6 }),
        fc.nat(5),
        sharpness,
        async (seed, n, depth, sharpness) => {
          const drafter = pathDrafter(seed, VOCAB, sharpness);
          const tree = await grown([drafter], n, depth, new OptTree(never));
          expect(Math.max(...tree.depths.slice(0, tree.size))).toBeLessThanOrEqual(depth);
          expect(expected(tree)).toBeCloseTo(bruteForce(drafter, n, depth), 12);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("is the tree that best-first growth finds, whatever drafts, and has the most valuable nodes first", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 40 }),
        fc.nat(9),
        fc.boolean(),
        async (seed, n, depth, later) => {
          const drafters = [hashDrafter(seed, 4, 20, later), hashDrafter(seed + 1, 3, 20)];
          const tree = await grown(drafters, n, depth, new OptTree(never));
          const best = await grown(drafters, n, depth);
          expect(pathsOf(tree)).toEqual(pathsOf(best));
          expect(valuesOf(tree)).toEqual(valuesOf(best));
          expect(new Set(tree.sources)).toEqual(new Set(best.sources));
        },
      ),
    );
  });

  it("stops when no deeper level can matter, and asks about no node that cannot", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 2, max: 30 }), sharpness, async (seed, n, sharpness) => {
        const drafter = pathDrafter(seed, VOCAB, sharpness);
        const tree = await grown([drafter], n, 100, new OptTree(never));
        const deepest = Math.max(...tree.depths.slice(0, tree.size));
        expect(drafter.questions.length).toBeLessThanOrEqual(deepest + 1);
        for (const nodes of drafter.questions) expect(nodes).toBeLessThan(n);
      }),
    );
  });

  it("never expects less with another level", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 30 }), sharpness, async (seed, n, sharpness) => {
        let before = 0;
        for (let levels = 0; levels <= 6; levels++) {
          const drafter = pathDrafter(seed, VOCAB, sharpness);
          const tree = await grown([drafter], n, 100, new OptTree(fixed(levels)));
          expect(expected(tree)).toBeGreaterThanOrEqual(before - 1e-12);
          expect(drafter.questions.length).toBeLessThanOrEqual(levels);
          before = expected(tree);
        }
      }),
    );
  });

  it("stops behind the first level that gains no more than delta, and keeps that level", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 2, max: 30 }),
        sharpness,
        fc.double({ min: 0.01, max: 0.9, noNaN: true }),
        async (seed, n, sharpness, threshold) => {
          const drafter = pathDrafter(seed, VOCAB, sharpness);
          const ofLevels = (levels: number) => grown([drafter], n, 100, new OptTree(fixed(levels)));
          let levels = 1;
          let gain = expected(await ofLevels(1));
          while (gain > threshold) {
            levels++;
            gain = expected(await ofLevels(levels)) - expected(await ofLevels(levels - 1));
          }
          const tree = await grown([drafter], n, 100, new OptTree(delta(threshold)));
          expect(valuesOf(tree)).toEqual(valuesOf(await ofLevels(levels)));
        },
      ),
    );
  });

  it("tells its rule how far it is", async () => {
    const halves = tableDrafter(() => ({ tokens: [1, 2], probs: [0.5, 0.25] }));
    const seen: Progress[] = [];
    const rule: StopRule = { continue: (progress) => seen.push(progress) < 4 };
    const tree = await grown([halves], 100, 9, new OptTree(rule, { width: 1 }));
    expect(valuesOf(tree)).toEqual([1, 0.5, 0.25, 0.25, 0.125, 0.125, 0.0625]);
    expect(seen).toEqual([
      { levels: 0, best: 1, gain: 1, next: Number.POSITIVE_INFINITY, price: 0 },
      { levels: 1, best: 0.5, gain: 0.75, next: 0.5625, price: 0 },
      { levels: 2, best: 0.25, gain: 0.375, next: 0.1875, price: 0 },
      { levels: 3, best: 0.125, gain: 0.1875, next: 0.09375, price: 0 },
    ]);
  });

  it("leaves out nodes that are not worth their price, and asks no further than pays", async () => {
    const halves = tableDrafter(() => ({ tokens: [1, 2], probs: [0.5, 0.2] }));
    const draft = async (prices?: { ms: number; node: number }) => {
      halves.questions.length = 0;
      const tree = new DraftTree(3, 128);
      await new OptTree(delta(), { width: 4 }).grow(tree, [halves], { nodes: 128, depth: 5, prices });
      return valuesOf(tree).slice(1);
    };
    expect((await draft()).length).toBe(2 + 4 + 8 * 3);
    expect(halves.questions).toEqual([1, 2, 4, 4, 4]);
    expect(await draft({ ms: 0, node: 0.15 })).toEqual([0.5, 0.25, 0.2]);
    expect(halves.questions).toEqual([1, 2]);
    expect(await draft({ ms: 0, node: 1 })).toEqual([]);
    expect(halves.questions).toEqual([]);
    // However dear time is, the first question is asked: else nothing would ever be known of what questions take.
    expect(await draft({ ms: 1e9, node: 0 })).toEqual([0.5, 0.2]);
    expect(halves.questions).toEqual([1]);
  });
});

describe("eagle2", () => {
  /** As the paper has it: 10 nodes of each level are asked about, whatever they are worth, and all answers are ranked in the end. */
  async function expandAndRerank(drafter: Drafter, nodes: number): Promise<string[]> {
    const everything = new DraftTree(3, 1000);
    let level = [0];
    for (let levels = 0; levels < 6; levels++) {
      const answers = await drafter.expand(everything, level, 10);
      level = answers
        .flatMap(({ tokens, probs }, at) =>
          tokens.map((token, i) => everything.push(level[at]!, token, probs[i]!)),
        )
        .sort((a, b) => everything.values[b]! - everything.values[a]!)
        .slice(0, 10);
    }
    const ranked = Array.from({ length: everything.size }, (_, node) => node)
      .sort((a, b) => everything.values[b]! - everything.values[a]! || a - b)
      .slice(0, nodes);
    const tree = new DraftTree(3, nodes);
    const places = [0];
    for (const node of ranked.slice(1)) {
      const parent = places[everything.parents[node]!]!;
      places[node] = tree.push(parent, everything.tokens[node]!, everything.probs[node]!);
    }
    return pathsOf(tree);
  }

  it("is expansion of ten and ranking of all", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 60 }),
        sharpness,
        async (seed, nodes, sharpness) => {
          const drafter = pathDrafter(seed, 16, sharpness);
          const tree = await grown([drafter], nodes, 100, eagle2());
          expect(pathsOf(tree)).toEqual(await expandAndRerank(drafter, nodes));
        },
      ),
      { numRuns: 50 },
    );
  });
});

describe("chain", () => {
  it("is the tree of one candidate below one node of a level", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(9),
        fc.double({ min: 0.001, max: 1.2, noNaN: true }),
        fc.boolean(),
        async (seed, nodes, depth, node, later) => {
          for (const rule of [fixed(4), delta(0.2)]) {
            const drafter = pathDrafter(seed, 16, 2, later);
            const trees = [chain(rule), new OptTree(rule, { width: 1, branches: 1 })].map(
              async (structure) => {
                const tree = new DraftTree(3, nodes);
                await structure.grow(tree, [drafter], { nodes, depth, prices: { ms: 0, node } });
                return pathsOf(tree);
              },
            );
            expect(await trees[0]).toEqual(await trees[1]);
          }
        },
      ),
    );
  });

  it("tells of the questions that its rule foresees, and takes the answers one by one", async () => {
    const outlooks: (Outlook | undefined)[] = [];
    const drafter = tableDrafter(() => ({ tokens: [7], probs: [0.5] }));
    const { expand } = drafter;
    drafter.expand = (tree, nodes, width, outlook) => {
      outlooks.push(outlook);
      return expand(tree, nodes, width);
    };
    const times = new QuestionTimes({ first: 2, next: 1 });
    const prices = { ms: 0.03, node: 0.01 };
    const budget = { nodes: 20, depth: 5, prices };
    await chain(any(fixed(7), delta()), times).grow(new DraftTree(3, 20), [drafter], budget);
    const price = 0.04;
    // The level behind the fifth node would be the fifth, which is as deep as it may be; that behind the fourth is expected to add 1/32.
    expect(outlooks).toEqual([0, 1, 2, 3].map((level) => ({ levels: 4 - level, worth: price * 2 ** level })));
    outlooks.length = 0;
    await chain(ddd(-9)).grow(new DraftTree(3, 3), [drafter], { ...budget, nodes: 3 });
    expect(outlooks).toEqual([undefined, undefined]);
  });

  it("takes what answers took that came ahead from who gave them", async () => {
    const drafter: Drafter = tableDrafter(() => ({ tokens: [7], probs: [0.5] }));
    const times = new QuestionTimes({ first: 2, next: 1 });
    const structure = chain(fixed(3), times);
    await structure.grow(new DraftTree(3, 9), [drafter], { nodes: 9, depth: 9 });
    expect(times.costs).toEqual({ first: 2, next: 1 });
    const ahead = Object.assign(drafter, { ahead: { questions: 5, ms: 0.6 } });
    await structure.grow(new DraftTree(3, 9), [ahead], { nodes: 9, depth: 9 });
    // Shared out as they were before: the first question takes twice as long as each of four others.
    expect(times.costs!.first).toBeCloseTo(0.2);
    expect(times.costs!.next).toBeCloseTo(0.1);
  });

  it("takes the best candidate again and again, as far as rule, nodes and depth allow", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 9 }),
        fc.nat(9),
        fc.nat(9),
        async (seed, nodes, depth, levels) => {
          const drafter = hashDrafter(seed, 4, 20);
          const tree = await grown([drafter], nodes, depth, chain(fixed(levels)));
          expect(tree.size).toBe(1 + Math.min(nodes - 1, depth, levels));
          expect(drafter.questions).toEqual(Array(tree.size - 1).fill(1));
          for (let node = 1; node < tree.size; node++) {
            expect(tree.parents[node]).toBe(node - 1);
            const [best] = await drafter.expand(tree, [node - 1], 1);
            expect(tree.tokens[node]).toBe(best!.tokens[0]);
          }
        },
      ),
    );
  });
});
