import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import { pathOf, tableDrafter } from "../../test/table-drafter.ts";
import type { Drafter } from "../draft/drafter.ts";
import { Mixer } from "../draft/mixer.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { chain } from "./chain.ts";
import { ChainOrUnion } from "./chain-or-union.ts";
import { fixed } from "./stop/fixed.ts";
import { UnionTree } from "./union.ts";
import { UnionWorth } from "./union-worth.ts";
import { Yields } from "./yields.ts";

const says = (token: number) => tableDrafter(() => ({ tokens: [token], probs: [0.6] }));

/** A model that says 1 and a table that says 2 behind every node, where a millisecond is worth `price` tokens. */
function texts(price: number) {
  const mixer = new Mixer();
  const union = new UnionTree({ mixer: () => mixer, yields: new Yields() });
  const structure = new ChainOrUnion(chain(fixed(2)), union, { worth: new UnionWorth(), tables: 1 });
  const drafters: Drafter[] = [says(1), says(2)];
  /** First tokens of a step's draft. */
  const step = async (others: Drafter[] = []) => {
    const tree = new DraftTree(0, 8);
    const all = [...drafters, ...others];
    const asked = all.map((_, i) => structure.asks(i));
    await structure.grow(tree, all, { nodes: 8, depth: 2, prices: { ms: price, node: 0 } });
    structure.observe(outcomeOf(tree, [0], 9));
    return { asked, tokens: [...tree.children(0)].map((node) => tree.tokens[node]!), tree };
  };
  return { structure, step };
}

describe("ChainOrUnion", () => {
  it("drafts the model's chain and asks no table where time is dear", async () => {
    const { step } = texts(1000);
    for (let i = 0; i < 50; i++) {
      const { asked, tree } = await step();
      expect(asked).toEqual([true, false]);
      expect([...Array(tree.size).keys()].map((node) => pathOf(tree, node))).toEqual(["", "1", "1 1"]);
    }
  });

  it("drafts the union of all where it is not, once that is known", async () => {
    const { step } = texts(1e-6);
    expect((await step()).asked).toEqual([true, false]);
    const { asked, tokens } = await step();
    expect(asked).toEqual([true, true]);
    expect(tokens.toSorted()).toEqual([1, 2]);
  });

  it("drafts the union of all in a text that brings a drafter along, and not in the next", async () => {
    const { structure, step } = texts(1000);
    await step();
    await step([says(3)]);
    const { asked, tokens } = await step([says(3)]);
    expect(asked).toEqual([true, true, true]);
    expect(tokens.toSorted()).toEqual([1, 2, 3]);
    structure.begin(0);
    expect((await step()).tokens).toEqual([1]);
  });
});
