/** @file Tests of the measuring: what it asks of a target and how it leaves it, never how long anything took. */

import { describe, expect, test } from "vitest";
import type { Target, TargetSequence } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";
import { measurePasses, measurePrefill, summarize } from "./measure.ts";

/** A toy that notes the (length, rows) of every pass and counts the texts that are open. */
function watched() {
  const passes: { context: number; rows: number }[] = [];
  const target = new ToyTarget();
  let open = 0;
  const createSequence = target.createSequence.bind(target);
  target.createSequence = async (options): Promise<TargetSequence> => {
    const text = await createSequence(options);
    open++;
    const forward = text.forward.bind(text);
    text.forward = (tree, want) => {
      passes.push({ context: text.length, rows: tree.size });
      return forward(tree, want);
    };
    const dispose = text[Symbol.asyncDispose].bind(text);
    text[Symbol.asyncDispose] = () => {
      open--;
      return dispose();
    };
    return text;
  };
  return { target: target as Target, passes, open: () => open };
}

describe("measurePasses", () => {
  test("gives a timing for every context and number of rows, in interleaved rounds", async () => {
    const { target, passes, open } = watched();
    let done = 0;
    const times = await measurePasses(target, {
      rows: [1, 2, 5],
      contexts: [4, 40],
      rounds: 3,
      onRound: (rounds) => {
        done = rounds;
      },
    });
    expect(Object.keys(times)).toEqual(["4", "40"]);
    for (const byRows of Object.values(times)) {
      expect(Object.keys(byRows)).toEqual(["1", "2", "5"]);
      for (const { median, low, high } of Object.values(byRows)) {
        expect(low).toBeGreaterThan(0);
        expect(median).toBeGreaterThanOrEqual(low);
        expect(high).toBeGreaterThanOrEqual(median);
      }
    }
    expect(done).toBe(4);
    expect(open()).toBe(0);
    // Every round visits every pair once, so no two timings of a pair are neighbours.
    expect(passes).toHaveLength(4 * 6);
    for (let round = 0; round < 4; round++) {
      const pairs = passes.slice(round * 6, round * 6 + 6).map(({ context, rows }) => `${context}/${rows}`);
      expect(new Set(pairs).size).toBe(6);
    }
  });

  test("refuses rows, contexts and rounds that cannot be, by name", async () => {
    const target = new ToyTarget({ maxNodes: 8, contextLength: 32 });
    const measure = (change: object) =>
      measurePasses(target, { rows: [1], contexts: [8], rounds: 1, ...change });
    await expect(measure({ rows: [9] })).rejects.toThrow("rows is 9");
    await expect(measure({ rows: [0] })).rejects.toThrow("rows is 0");
    await expect(measure({ contexts: [32] })).rejects.toThrow("contexts is 32");
    await expect(measure({ rounds: 0.5 })).rejects.toThrow("rounds is 0.5");
  });

  test("stops between passes and frees its texts when aborted", async () => {
    const { target, open } = watched();
    const controller = new AbortController();
    const work = measurePasses(target, {
      rows: [1],
      contexts: [4],
      rounds: 1000,
      signal: controller.signal,
      onRound: () => controller.abort(),
    });
    await expect(work).rejects.toThrow();
    expect(open()).toBe(0);
  });
});

test("measurePrefill times the prompt and refuses one that does not fit", async () => {
  const target = new ToyTarget({ contextLength: 64 });
  expect((await measurePrefill(target, { tokens: 64, rounds: 2 })).median).toBeGreaterThan(0);
  await expect(measurePrefill(target, { tokens: 65, rounds: 2 })).rejects.toThrow("tokens is 65");
});

test("summarize gives the median and the quartiles", () => {
  expect(summarize([3, 1, 2, 5, 4])).toEqual({ median: 3, low: 2, high: 4 });
  expect(summarize([1, 2])).toEqual({ median: 1.5, low: 1.5, high: 1.5 });
  expect(summarize([7])).toEqual({ median: 7, low: 7, high: 7 });
});
