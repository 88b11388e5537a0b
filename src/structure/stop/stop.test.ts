import { describe, expect, test } from "vitest";
import { outcomeOf } from "../../../test/outcomes.ts";
import { grown, hashDrafter, tableDrafter } from "../../../test/table-drafter.ts";
import type { LengthPredictor } from "../../target/length-predictor.ts";
import { DraftTree } from "../../tree/draft-tree.ts";
import { chain } from "../chain.ts";
import { OptTree } from "../opt-tree.ts";
import { ddd } from "./ddd.ts";
import { fixed } from "./fixed.ts";
import { ldlp } from "./ldlp.ts";
import { all, any, type StopRule } from "./stop-rule.ts";

/** Every guess has probability 0.7. */
const even = () => tableDrafter((tree, node) => ({ tokens: [tree.depths[node]!], probs: [0.7] }));
const PROGRESS = { levels: 0, best: 1, gain: 1, next: 1, price: 0 };
const lengthOf = async (rule: StopRule) => (await grown([even()], 20, 20, chain(rule))).size - 1;

/** Predicts what `say` has last been given, and notes where it looked. */
function predictor() {
  const seen: number[][] = [];
  const lengths: LengthPredictor & { said: number } = {
    taps: [0, 2],
    longest: 7,
    said: 0,
    predict: (embedding: Float32Array, last: Float32Array) => {
      seen.push([embedding[0]!, last[0]!]);
      return lengths.said;
    },
  };
  return { lengths, seen };
}

/** An outcome whose hidden state of a node after a layer is 10 * node + layer. */
function outcome(path: readonly number[], size: number) {
  const tree = new DraftTree(1, size);
  for (let node = 1; node < size; node++) tree.push(node - 1, node, 0.5);
  const made = outcomeOf(tree, path, 9);
  const hidden = (node: number, tap: number) => Float32Array.of(10 * node + tap);
  return { ...made, pass: { ...made.pass, hidden } };
}

describe("stop rules", () => {
  test("fixed: the same length", async () => {
    for (const levels of [0, 1, 5]) expect(await lengthOf(fixed(levels))).toBe(levels);
  });

  test("ddd: the first token that makes the chain too unlikely is its last", async () => {
    // 0.7 ** 2 is 0.49, ln -0.713; ** 3 is 0.343, ln -1.07.
    expect(await lengthOf(ddd(-0.3))).toBe(1);
    expect(await lengthOf(ddd(-0.6))).toBe(2);
    expect(await lengthOf(ddd(-0.72))).toBe(3);
    expect(await lengthOf(ddd(0))).toBe(1);
  });

  test("ldlp: the longest at first, then what is predicted at the last validated token", async () => {
    const { lengths, seen } = predictor();
    const rule = ldlp(lengths);
    expect(rule.taps).toEqual([0, 2]);
    expect(await lengthOf(rule)).toBe(7);
    for (const said of [3, 0, 7]) {
      lengths.said = said;
      rule.observe!(outcome([0, 1, 2], 5));
      expect(await lengthOf(rule)).toBe(said);
    }
    rule.observe!(outcome([0], 3));
    expect(seen).toEqual(Array(3).fill([20, 22]));
    await lengthOf(rule);
    expect(seen.at(-1)).toEqual([0, 2]);
    expect(seen.length).toBe(4);
    rule.begin!([1, 2]);
    expect(await lengthOf(rule)).toBe(7);
  });

  test("ldlp predicts only when it is asked, once a step, of the newest states", async () => {
    const { lengths, seen } = predictor();
    const rule = all(fixed(3), ldlp(lengths));
    rule.observe!(outcome([0], 2));
    rule.observe!(outcome([0, 1], 2));
    for (let levels = 0; levels < 3; levels++) expect(rule.continue({ ...PROGRESS, levels })).toBe(true);
    expect(seen).toEqual([]);
    for (let again = 0; again < 2; again++) expect(rule.continue({ ...PROGRESS, levels: 3 })).toBe(false);
    expect(seen).toEqual([[10, 12]]);
  });

  test("ldlp limits the depth of a tree", async () => {
    const { lengths } = predictor();
    const rule = ldlp(lengths);
    for (const said of [0, 1, 3]) {
      lengths.said = said;
      rule.observe!(outcome([0], 2));
      const tree = await grown([hashDrafter(1, 4, 20)], 40, 9, new OptTree(rule));
      expect(Math.max(...tree.depths.slice(0, tree.size))).toBe(said);
    }
  });

  test("all stops when the last rule does, any when the first one does; they pass on what they are told", async () => {
    const { lengths, seen } = predictor();
    const both = all(ldlp(lengths), ddd(-0.6));
    const either = any(ldlp(lengths), ddd(-0.6), fixed(4));
    expect(both.taps).toEqual([0, 2]);
    for (const [said, longer, shorter] of [
      [0, 2, 0],
      [1, 2, 1],
      [2, 2, 2],
      [5, 5, 2],
    ] as const) {
      lengths.said = said;
      both.observe!(outcome([0], 2));
      either.observe!(outcome([0], 2));
      expect(await lengthOf(both)).toBe(longer);
      expect(await lengthOf(either)).toBe(shorter);
    }
    expect(seen.length).toBe(8);
    both.begin!([1]);
    expect(await lengthOf(both)).toBe(7);
  });
});
