/** @file Who knows the target's probabilities knows its sampled text as well, because all pick with the same noise (arXiv:2408.07978). */

import { describe, expect, it } from "vitest";
import { ToyTarget } from "../src/target/toy.ts";
import { ToyExit, ToyHead } from "./toy-head.ts";
import { collect, toyModel } from "./toy-model.ts";

/** Flat: the likeliest token is picked in half of all places or less. */
const OPTIONS = { order: 1, longRange: 0, sharpness: 0.8, vocabSize: 20 };
const TOKENS = 200;
const BUDGET = 5;

const target = () => new ToyTarget(OPTIONS);
const PARTS = {
  "draft-model": { draftModel: target() },
  eagle: { head: new ToyHead(target()) },
  "opt-tree": { head: new ToyHead(target()) },
  "eesd:4": { exit: new ToyExit(target()) },
  auto: { head: new ToyHead(target()) },
};

describe.each(Object.entries(PARTS))("%s with the target's own probabilities", (method, parts) => {
  it.each([0.7, 1, 1.4])("guesses texts of temperature %f", async (temperature) => {
    const model = toyModel(OPTIONS, { ...parts, endTokens: [] });
    const request = { prompt: "123", temperature, maxTokens: TOKENS };
    let [tokens, passes, likeliest] = [0, 0, 0];
    for (const seed of [1, 2, 3, 4]) {
      const drafted = await collect(model.generate({ ...request, method, seed, budget: BUDGET }));
      const plain = await collect(model.generate({ ...request, method: "plain", seed, logProbs: 1 }));
      expect(drafted.tokens).toEqual(plain.tokens);
      tokens += drafted.tokens.length;
      passes += drafted.end.stats.passes;
      for (const { token, logProbs } of plain.pieces) if (logProbs?.top[0]?.token === token) likeliest++;
    }
    // Trees keep some of their nodes for other tokens, because no drafter is taken to be quite right.
    expect(likeliest / tokens).toBeLessThan(0.6);
    expect(tokens / passes).toBeGreaterThan(0.6 * BUDGET);
  });
});
