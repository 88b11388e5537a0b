/** @file What measuring asks of the native engine: texts that nobody has read, and how much of a text layers see. */

import { expect, it } from "vitest";
import { engine } from "../src/engine/binding.ts";
import { NativeTarget } from "../src/engine/native-target.ts";
import { CostCurve } from "../src/plan/cost.ts";
import { quickPassTimes } from "../src/plan/quick.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { nativeTarget, openWeights, randomLlama, withGguf } from "./native-model.ts";

const file = randomLlama({ layers: 3, heads: 2, kvHeads: 1, vocabSize: 40 }, 1);

it("fills a text for the first layers, and forgets it", async () => {
  await using target = await nativeTarget(file, { threads: 1 });
  await using text = await target.createSequence({ capacity: 200 });
  const tree = new DraftTree(1, 1);
  const plain = [...(await text.forward(tree, { topK: 3 })).logProbs];
  text.rollback();
  const short = [...(await text.forwardFirst(tree, 2))];
  text.fill(2, 150);
  expect(text.length).toBe(150);
  const long = [...(await text.forwardFirst(tree, 2))];
  expect(long.every(Number.isFinite)).toBe(true);
  expect(long).not.toEqual(short);
  await expect(text.forward(tree, { topK: 3 })).rejects.toThrow(RangeError);
  text.truncate(0);
  expect([...(await text.forward(tree, { topK: 3 })).logProbs]).toEqual(plain);
  for (const [layers, length] of [
    [4, 10],
    [0, 10],
    [1, 0],
    [1, 201],
  ] as const)
    expect(() => text.fill(layers, length)).toThrow(/fill: no -?\d+ tokens in \d+ layers; at most 200 fit/);
  expect(text.length).toBe(0);
});

it("knows how many tokens a row attends to, in layers with windows and without", async () => {
  await using plain = await nativeTarget(file, { threads: 1 });
  expect([plain.attended(7), plain.attended(500, 1)]).toEqual([7, 500]);
  const { config, weights } = await withGguf(file, openWeights);
  const windows = [50, undefined, 200];
  await using target = new NativeTarget(engine(), { ...config, windows }, weights, { threads: 1 });
  expect(target.attended(20)).toBe(20);
  expect(target.attended(500)).toBe(250);
  expect([1, 2, 3].map((layers) => target.attended(500, layers))).toEqual([50, 275, 250]);
});

it.each([["i16"], ["f32"]] as const)(
  "measures a model with a %s cache and leaves no memory in use",
  async (cacheType) => {
    await using target = await nativeTarget(file, { threads: 2, cacheType });
    const first = await quickPassTimes(target);
    expect(first.length).toBe(6);
    const before = target.memory?.used ?? 0;
    const times = await quickPassTimes(target);
    // Buffers of passes may still grow, by far less than a text of 500 tokens takes.
    expect((target.memory?.used ?? 0) - before).toBeLessThan(100_000);
    expect(times.map(({ rows }) => rows)).toEqual([1, 2, 4, 8, 16, 32]);
    for (const { perToken } of times) expect(perToken).toBeGreaterThan(0);
    expect(() => new CostCurve(times)).not.toThrow();
  },
);
