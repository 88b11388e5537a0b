import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import {
  grown,
  hashDrafter,
  pathDrafter,
  pathsOf,
  tableDrafter,
  valuesOf,
} from "../../test/table-drafter.ts";
import { CopyOdds } from "./copying.ts";
import { Fusion } from "./fusion.ts";
import { fixed } from "./stop/fixed.ts";

const fusion = (firsts: number, levels = 3, odds = new CopyOdds()) => new Fusion(fixed(levels), odds, firsts);

/** Says that `tokens` follow one another, and nothing else. */
const says = (...tokens: number[]) =>
  tableDrafter((tree, node) => {
    const token = tokens[tree.depths[node]!];
    return token === undefined ? { tokens: [], probs: [] } : { tokens: [token], probs: [0.9] };
  });

describe("Fusion", () => {
  it("has no more nodes than its budget, the most valuable first, which a model or a table named", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 8 }),
        fc.boolean(),
        async (seed, nodes, depth, later) => {
          const model = pathDrafter(seed, 6, 1, later);
          const tables = [hashDrafter(seed + 1, 3, 6), hashDrafter(seed + 2, 2, 6)];
          const tree = await grown([model, ...tables], nodes, depth, fusion(16));
          const values = valuesOf(tree);
          expect(values).toEqual(values.toSorted((a, b) => b - a));
          expect(tree.size).toBeLessThanOrEqual(nodes);
          if (depth > 0 && nodes > 1) expect(tree.size).toBeGreaterThan(1);
          for (let node = 1; node < tree.size; node++) {
            expect(tree.depths[node]).toBeLessThanOrEqual(depth);
            expect(tree.sources[node]).toBeGreaterThan(0);
            expect(tree.sources[node]).toBeLessThan(8);
          }
        },
      ),
    );
  });

  it("has one node for what both name, and says who named what", async () => {
    const tree = await grown([says(1, 2, 3), says(1, 2, 4, 5)], 9, 8, fusion(16));
    const sources = Array.from({ length: tree.size }, (_, node) => [tree.tokens[node], tree.sources[node]]);
    expect(Object.fromEntries(sources.slice(1))).toEqual({ 1: 3, 2: 3, 3: 1, 4: 2, 5: 2 });
    expect(pathsOf(tree)).toEqual(["", "1", "1 2", "1 2 3", "1 2 4", "1 2 4 5"]);
  });

  it("asks the model about what only tables found, as far as it is asked at all", async () => {
    const model = tableDrafter((tree, node) =>
      node === 0 ? { tokens: [1], probs: [0.5] } : { tokens: [tree.tokens[node]! + 1], probs: [0.9] },
    );
    const table = tableDrafter((_, node) =>
      node === 0 ? { tokens: [5], probs: [0.9] } : { tokens: [], probs: [] },
    );
    const of = async (levels: number) =>
      pathsOf(await grown([model, table], 9, 3, fusion(Number.POSITIVE_INFINITY, levels)));
    expect(await of(2)).toEqual(["", "1", "1 2", "5", "5 6"]);
    expect(await of(1)).toEqual(["", "1", "5"]);
  });

  it("drops what tables begin with none of the model's first tokens, unless the model says nothing", async () => {
    const model = tableDrafter(() => ({ tokens: [1, 2, 3], probs: [0.5, 0.3, 0.1] }));
    const table = tableDrafter((_, node) =>
      node === 0 ? { tokens: [3, 8, 2], probs: [0.9, 0.9, 0.9] } : { tokens: [7], probs: [0.9] },
    );
    const branches = async (firsts: number) => {
      const tree = await grown([model, table], 60, 2, fusion(firsts, 1));
      return pathsOf(tree).filter((path) => path.endsWith(" 7"));
    };
    expect(await branches(0)).toEqual([]);
    expect(await branches(2)).toEqual(["2 7"]);
    expect(await branches(3)).toEqual(["2 7", "3 7"]);
    expect(await branches(Number.POSITIVE_INFINITY)).toEqual(["2 7", "3 7", "8 7"]);
    expect(pathsOf(await grown([says(), table], 60, 1, fusion(1)))).toEqual(["", "2", "3", "8"]);
    // What a model cannot say is not dropped for it.
    const few = { ...model, names: (token: number) => token < 8 };
    expect(pathsOf(await grown([few, table], 60, 2, fusion(2, 1)))).toContain("8 7");
  });

  it("learns whom to believe, and nothing from steps without a draft", async () => {
    const structure = fusion(Number.POSITIVE_INFINITY);
    const probs: number[] = [];
    for (let step = 0; step < 60; step++) {
      const tree = await grown([says(1), says(2)], 4, 1, structure);
      probs.push(tree.probs[tree.child(0, 1)]!, tree.probs[tree.child(0, 2)]!);
      // The model is wrong, and the table right.
      structure.observe(outcomeOf(tree, [0, tree.child(0, 2)], 5));
      structure.observe(outcomeOf(tree, [0], 1));
    }
    expect(probs.at(-2)).toBeLessThan(0.2);
    expect(probs.at(-1)).toBeGreaterThan(0.8);
  });
});
