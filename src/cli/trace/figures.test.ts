/** @file Tests of the figures of a trace, on steps whose figures are known. */

import { expect, test } from "vitest";
import { someTrace, traceStep } from "../../../test/trace.ts";
import { figuresOf } from "./figures.ts";
import { lettersOf, Pen } from "./pen.ts";
import { summaryText } from "./summary-text.ts";

const second = traceStep([-1, 0, 1, 0], {
  ...{ position: 4, probs: [1, 0.75, 0.25, 0.05], sources: [0, 1, 3, 2] },
  ...{ trial: true, ms: 6, passMs: 5, draftMs: 0.5, drafterMs: 0.5, off: "off: why" },
});
const both = someTrace({ steps: [someTrace().steps[0]!, second] });

test("tokens, drafters, probabilities and time", () => {
  const figures = figuresOf(both);
  expect(figures).toMatchObject({
    ...{ steps: 2, plain: 0, trials: 1, promptTokens: 2, tokens: 4, mat: 2, nodes: 4.5, off: "off: why" },
    ...{ stepsByTokens: [0, 1, 0, 1], realTokens: 2 },
    drafters: [
      { name: "eagle", drafted: 5, accepted: 2, acceptedAlone: 1 },
      { name: "retrieval", drafted: 4, accepted: 1, acceptedAlone: 0 },
    ],
    time: { pass: 8, drafters: 1, structure: 0.25, rest: 0.75 },
    overhead: 0.1,
  });
  // Sums of the products: 1 + 0.75 + 0.2 + 0.375 + 0.1875 and 1 + 0.75 + 0.1875 + 0.05.
  expect(figures.expectedTokens).toBeCloseTo((2.5125 + 1.9875) / 2, 10);
});

test("a probability is judged where the target came by: at nodes whose parent was accepted", () => {
  const { deciles, calibrationError } = figuresOf(both);
  expect(deciles).toEqual([
    { from: 0, nodes: 1, expected: 0.05, real: 0 },
    { from: 0.2, nodes: 1, expected: 0.2, real: 0 },
    { from: 0.5, nodes: 2, expected: 0.5, real: 0.5 },
    { from: 0.7, nodes: 2, expected: 0.75, real: 0.5 },
  ]);
  expect(calibrationError).toBeCloseTo((0.05 + 0.2 + 2 * 0.25) / 6, 10);
  const certain = traceStep([-1, 0], { probs: [1, 1], path: [0, 1] });
  expect(figuresOf(someTrace({ steps: [certain] })).deciles).toEqual([
    { from: 0.9, nodes: 1, expected: 1, real: 1 },
  ]);
});

test("the summary says it", () => {
  const text = summaryText(figuresOf(both), new Pen(both.drafters, false), 80);
  expect(text).toContain("2 steps (0 plain, 1 trial), 2.00 tokens each");
  expect(text).toContain("4.5 nodes a step, 2.25 tokens expected of them, 2.00 real");
  expect(text).toMatch(/^E eagle +5 +2 +1 +█+$/m);
  expect(text).toMatch(/^0\.7-0\.8 +2 +0\.75 +0\.50 +█+ +\|$/m);
  expect(text).toMatch(/^the target's pass +4\.000 +80\.0 % +█+$/m);
  expect(text).toContain("planning, fusion and bookkeeping, that is tree and rest: 10.0 %");
  expect(text).toContain("at the end off: why");
  for (const width of [24, 40, 80, 200]) {
    for (const line of summaryText(figuresOf(both), new Pen(both.drafters, false), width).split("\n"))
      expect(line.length).toBeLessThanOrEqual(width);
  }
});

test("a trace without steps has a summary too", () => {
  const none = someTrace({ steps: [], tokens: [], stats: { ...both.stats, tokens: 0, passes: 0, mat: 0 } });
  expect(figuresOf(none)).toMatchObject({ steps: 0, deciles: [], calibrationError: null, overhead: null });
  expect(summaryText(figuresOf(none), new Pen([], false), 80)).toContain("0 steps (0 plain, 0 trials)");
});

test("every drafter has a letter of its own, if it can be the first free one of its name", () => {
  expect(lettersOf(["recycle", "retrieval", "eagle", "lookup"])).toEqual(["R", "E", "A", "L"]);
  expect(lettersOf(["x", "x", "木", ""])).toEqual(["X", "A", "B", "C"]);
  const many = lettersOf(Array.from({ length: 31 }, () => "\x1b[31m"));
  expect(new Set(many).size).toBe(31);
  for (const letter of many) expect(letter).toMatch(/^[A-Z0-9]$/);
});
