/** @file What `bench/reliability` counts: which nodes were judged, and how far what was said of them is from what came. */

import { describe, expect, test } from "vitest";
import { ALL, judgedOf, Ledger } from "../bench/reliability/periods.ts";
import { BINS, Reliability } from "../bench/reliability/reliability.ts";
import type { StepReport } from "../src/session/step-report.ts";

/** A step on the tree given by `parents`, whose root is node 0. */
function reportOf(
  nodes: readonly (readonly [parent: number, prob: number, ...drafters: string[]])[],
  path: readonly number[],
): StepReport {
  const size = nodes.length + 1;
  return {
    ...{ position: 1, kind: "drafted", trial: false, off: null, nodePrice: null, grown: size },
    tokens: Array.from({ length: size }, (_, node) => 10 + node),
    parents: [-1, ...nodes.map(([parent]) => parent)],
    probs: [1, ...nodes.map(([, prob]) => prob)],
    values: [],
    drafters: [[], ...nodes.map(([, , ...drafters]) => drafters)],
    path,
    ...{ bonus: 9, ms: 1, passMs: 1, draftMs: 0, drafterMs: 0 },
  };
}

/** 1 and 2 stand below the root, 3 below 1, 4 below 3, 5 below 2; the target took 1, and then something else. */
const STEP = reportOf(
  [
    [0, 0.5, "eagle", "recycle"],
    [0, 0.3, "recycle"],
    [1, 0.8, "eagle"],
    [3, 0.9, "eagle"],
    [2, 0.7, "recycle"],
  ],
  [0, 1],
);

describe("reliability", () => {
  test("nodes are judged where their parents were accepted", () => {
    expect(judgedOf(STEP)).toEqual([
      { proposers: ["eagle", "recycle"], said: 0.5, accepted: true },
      { proposers: ["recycle"], said: 0.3, accepted: false },
      { proposers: ["eagle"], said: 0.8, accepted: false },
    ]);
    expect(judgedOf(reportOf([], [0]))).toEqual([]);
  });

  test("the error is the distance in each bin, by guesses", () => {
    const all = new Reliability();
    // 0.9 is right in one of two, 0.2 in one of four, 1 always; 0.21 and 0.2 share a bin of 15, in which 0.3 is not.
    for (const right of [true, false]) all.add(0.9, right);
    for (const right of [true, false, false, false]) all.add(0.2, right);
    all.add(0.21, false);
    all.add(0.3, true);
    all.add(1, true);
    expect(all.guesses).toBe(9);
    expect(all.said).toBeCloseTo((1.8 + 0.8 + 0.21 + 0.3 + 1) / 9, 12);
    expect(all.right).toBeCloseTo(4 / 9, 12);
    const distance = Math.abs(1.8 - 1) + Math.abs(0.8 + 0.21 - 1) + Math.abs(0.3 - 1) + 0;
    expect(all.error).toBeCloseTo(distance / 9, 12);
    const { bins } = all;
    expect(bins.length).toBe(BINS);
    expect(bins[13]).toEqual({ guesses: 2, said: 0.9, right: 0.5 });
    expect(bins[14]).toEqual({ guesses: 1, said: 1, right: 1 });
    expect(bins[0]).toBeUndefined();
  });

  test("without guesses there is no error", () => {
    expect(new Reliability().error).toBeNaN();
  });

  test("what is true is as far off as chance has it, what is not is further", () => {
    // Multiples of the golden ratio are spread evenly, and stand for chance.
    const [fair, bold] = [new Reliability(), new Reliability()];
    let draw = 0;
    for (let i = 0; i < 20_000; i++) {
      draw = (draw + 0.6180339887498949) % 1;
      const said = (0.5 + (i % 97)) / 97;
      fair.add(said, draw < said);
      bold.add(said, draw < said / 2);
    }
    expect(fair.error).toBeLessThan(2 * fair.chance);
    expect(fair.chance).toBeLessThan(0.02);
    expect(bold.error).toBeCloseTo(0.25, 2);
  });

  test("steps are counted by proposers and by period", () => {
    const ledger = new Ledger(1, 2);
    for (let i = 0; i < 5; i++) ledger.add(STEP);
    expect(ledger.steps).toBe(5);
    const figures = Object.fromEntries(
      ledger.entries.map(([name, { first, learning, learnt }]) => [
        name,
        [first, learning, learnt].map(({ guesses, error }) => [guesses, Number(error.toFixed(9))]),
      ]),
    );
    const off = (error: number) => [1, 2, 3].map((steps) => [steps, error]);
    expect(figures).toEqual({
      [ALL]: [1, 2, 3].map((steps) => [3 * steps, Number((1.6 / 3).toFixed(9))]),
      "with recycle": [1, 2, 3].map((steps) => [2 * steps, 0.4]),
      "with eagle": [1, 2, 3].map((steps) => [2 * steps, 0.65]),
      "eagle + recycle": off(0.5),
      recycle: off(0.3),
      eagle: off(0.8),
    });
  });

  test("of a single drafter there is one row", () => {
    const ledger = new Ledger(1, 1);
    ledger.add(reportOf([[0, 0.4, "lookup"]], [0, 1]));
    expect(ledger.entries.map(([name]) => name)).toEqual(["lookup"]);
  });
});
