import { expect, test } from "vitest";
import { Mixer } from "../draft/mixer.ts";
import { Opinions } from "./opinions.ts";

/** How likely token 9, which a table takes for `table`, is beside what the model says of tokens 1, 2 and so on. */
function beside(model: readonly number[], table: number): number {
  const opinions = new Opinions();
  opinions.clear();
  opinions.add({ tokens: [9], probs: [table] }, 1);
  opinions.asked = true;
  opinions.add({ tokens: model.map((_, i) => i + 1), probs: model }, 0);
  opinions.mix(new Mixer());
  return opinions.probs[0]!;
}

test("what a model does not name has what it leaves, however it shares the rest", () => {
  expect(beside([0.3, 0.2], 0.2)).toBeCloseTo(beside([0.2, 0.2, 0.1], 0.2), 12);
  expect(beside([0.6, 0.3], 0.4)).toBeLessThan(beside([0.6], 0.4));
  expect(beside([0.6], 0.4)).toBeLessThan(beside([], 0.4));
});

test("a model may say more than 1 in all", () => {
  const prob = beside([0.9, 0.4], 0.4);
  expect(prob).toBeGreaterThan(0);
  expect(prob).toBeLessThan(beside([0.6], 0.4));
});

test("opinions of before are forgotten", () => {
  const opinions = new Opinions();
  opinions.asked = true;
  opinions.add({ tokens: [1], probs: [0.9] }, 0);
  opinions.clear();
  opinions.asked = true;
  opinions.add({ tokens: [9], probs: [0.4] }, 1);
  opinions.mix(new Mixer());
  expect(opinions.probs[0]).toBeCloseTo(beside([], 0.4), 12);
});
