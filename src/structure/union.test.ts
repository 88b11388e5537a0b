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
import { Mixer } from "../draft/mixer.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { TableWorth } from "./table-worth.ts";
import { UnionTree } from "./union.ts";
import { type Question, Yields } from "./yields.ts";

const union = (model = true, yields = new Yields()) => {
  const mixer = new Mixer();
  return new UnionTree({ mixer: () => mixer, yields: model ? yields : undefined });
};

/** Says that `tokens` follow one another, and nothing else. */
const says = (tokens: readonly number[], prob = 0.9) =>
  tableDrafter((tree, node) => {
    const follows = tree.path(node).every((at, i) => i === 0 || tree.tokens[at] === tokens[i - 1]);
    const token = follows ? tokens[tree.depths[node]!] : undefined;
    return token === undefined ? { tokens: [], probs: [] } : { tokens: [token], probs: [prob] };
  });

describe("UnionTree", () => {
  it("keeps to budget and depth, the most valuable first, and siblings are no likelier than 1", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 30 }),
        fc.integer({ min: 0, max: 8 }),
        fc.boolean(),
        async (seed, nodes, depth, model) => {
          const tables = [hashDrafter(seed + 1, 3, 6), hashDrafter(seed + 2, 2, 6)];
          const drafters = model ? [pathDrafter(seed, 6, 1, true), ...tables] : tables;
          const tree = await grown(drafters, nodes, depth, union(model));
          const values = valuesOf(tree);
          expect(values).toEqual(values.toSorted((a, b) => b - a));
          expect(tree.size).toBeLessThanOrEqual(nodes);
          if (depth > 0 && nodes > 1) expect(tree.size).toBeGreaterThan(1);
          for (let node = 0; node < tree.size; node++) {
            expect(tree.depths[node]).toBeLessThanOrEqual(depth);
            if (node > 0) expect(tree.sources[node]).toBeGreaterThan(0);
            const children = [...tree.children(node)].map((child) => tree.probs[child]!);
            expect(children.reduce((sum, prob) => sum + prob, 0)).toBeLessThan(1 + 1e-9);
          }
        },
      ),
    );
  });

  it("has for every budget the nodes of a smaller one, and one more", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 2, max: 20 }), async (seed, nodes) => {
        const tables = () => [hashDrafter(seed + 1, 3, 6), hashDrafter(seed + 2, 2, 6)];
        const fewer = await grown(tables(), nodes - 1, 9, union(false));
        const more = await grown(tables(), nodes, 9, union(false));
        expect(valuesOf(more).slice(0, fewer.size)).toEqual(valuesOf(fewer));
      }),
    );
  });

  it("has one node for what several propose, likelier than each alone says", async () => {
    const tree = await grown([says([1, 2, 3]), says([1, 2, 4, 5]), says([1, 6])], 9, 8, union());
    const sources = Array.from({ length: tree.size }, (_, node) => [tree.tokens[node], tree.sources[node]]);
    expect(Object.fromEntries(sources.slice(1))).toEqual({ 1: 7, 2: 3, 3: 1, 4: 2, 5: 2, 6: 4 });
    expect(pathsOf(tree)).toEqual(["", "1", "1 2", "1 2 3", "1 2 4", "1 2 4 5", "1 6"]);
    expect(tree.probs[1]).toBeGreaterThan(0.9);
  });

  it("counts for a table what would not be in the tree without it, whoever else proposes it", async () => {
    class Recorded extends TableWorth {
      readonly tokens: number[] = [];
      override observe(tokens: number) {
        this.tokens.push(tokens);
      }
    }
    const chain = [1, 2, 3, 4, 5, 6, 7, 8];
    const [sure, unsure, silent] = [new Recorded(), new Recorded(), new Recorded()];
    const mixer = new Mixer();
    const tree = new UnionTree({ mixer: () => mixer, tables: [sure, unsure, silent] });
    const drafted = new DraftTree(3, 9);
    const budget = { nodes: 9, depth: 8, prices: { ms: 1, node: 0.2 } };
    await tree.grow(drafted, [says(chain, 0.95), says(chain, 0.4), says([])], budget);
    expect(drafted.size).toBe(9);
    const values = [...drafted.values.slice(1, 9)];
    tree.observe(outcomeOf(drafted, [0], 1));
    const worth = (of: readonly number[]) => of.reduce((sum, value) => sum + value - 0.2, 0);
    // Unsure alone would be worth 0.4, then 0.16.
    expect(sure.tokens).toEqual([expect.closeTo(worth(values.slice(1)))]);
    expect(unsure.tokens).toEqual([0]);
    expect(silent.tokens).toEqual([0]);
  });

  it("asks the model about nodes of tables too, and believes it against them where it was right", async () => {
    const structure = union();
    const model = says([1, 7], 0.8);
    const table = says([2, 8], 0.8);
    for (let step = 0; step < 80; step++) {
      const tree = await grown([model, table], 9, 2, structure);
      structure.observe(outcomeOf(tree, [0, tree.child(0, 1)], 7));
    }
    const tree = await grown([model, table], 9, 2, structure);
    expect(tree.probs[tree.child(0, 1)]).toBeGreaterThan(0.85);
    expect(tree.probs[tree.child(0, 2)]).toBeLessThan(0.15);
    expect(model.questions.every((nodes) => nodes <= 4)).toBe(true);
  });

  it("does not ask a model that brings nothing for its time", async () => {
    const structure = union();
    const model = says([], 0);
    const table = says([1, 2, 3]);
    const prices = { ms: 1e6, node: 0 };
    const tree = new DraftTree(3, 8);
    for (let step = 0; step < 300; step++) {
      tree.reset(3);
      await structure.grow(tree, [model, table], { nodes: 8, depth: 4, prices });
      structure.observe(outcomeOf(tree, [0], 9));
    }
    expect(model.questions.length).toBeLessThan(30);
    expect(tree.size).toBeGreaterThan(1);
  });

  it("counts for a question what the model names and what rows it spares, not that tables' drafts get longer where it agrees", async () => {
    class Recorded extends Yields {
      readonly gains: number[] = [];
      override observeNext(question: Question, gain: number, ms: number) {
        this.gains.push(gain);
        super.observeNext(question, gain, ms);
      }
    }
    const chain = Array.from({ length: 14 }, (_, i) => i + 1);
    const gains = async (model: readonly number[], table: readonly number[], prob: number) => {
      const yields = new Recorded();
      const tree = new DraftTree(3, 40);
      const budget = { nodes: 40, depth: 14, prices: { ms: 0, node: 0.3 } };
      await union(true, yields).grow(tree, [says(model, 0.98), says(table, prob)], budget);
      return { size: tree.size, gain: Math.max(...yields.gains.slice(0, 3)) };
    };
    const alone = await grown([says(chain, 0.75)], 40, 14, union(false));
    const agreed = await gains(chain, chain, 0.75);
    expect(agreed.size).toBeGreaterThan(alone.values.filter((value) => value > 0.3).length);
    expect(agreed.gain).toBeLessThan(0.05);
    expect((await gains(chain, chain.slice(0, 2), 0.75)).gain).toBeGreaterThan(0.3);
    // Another second token makes it a question whether what tables say is worth its rows, and is hardly worth its own.
    expect((await gains([1, 20], chain, 0.95)).gain).toBeGreaterThan(0.3);
  });

  it("learns nothing from steps without a draft", async () => {
    const mixer = new Mixer();
    const structure = new UnionTree({ mixer: () => mixer });
    const tree = await grown([says([1])], 4, 1, structure);
    structure.observe(outcomeOf(tree, [0], 5));
    const weights = mixer.weights.slice();
    tree.reset(3);
    structure.observe(outcomeOf(tree, [0], 1));
    expect(mixer.weights).toEqual(weights);
  });

  it("keeps mixers of its own for texts of other temperatures", async () => {
    const asked: number[] = [];
    const mixer = (temperature: number) => {
      asked.push(temperature);
      return new Mixer();
    };
    const structure = new UnionTree({ mixer });
    structure.begin(0.8);
    expect(asked.at(-1)).toBe(0.8);
  });
});
