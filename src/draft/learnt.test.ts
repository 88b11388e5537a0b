import { describe, expect, it } from "vitest";
import { Calibration } from "./calibrate.ts";
import { type Numbers, restore, valuesOf } from "./learnt.ts";
import { RECYCLE_WIDTH, RecycleMatrix } from "./recycle.ts";

/** What is in `learnt` now, to be restored later. */
const copyOf = (learnt: Parameters<typeof valuesOf>[0]) =>
  new Map([...valuesOf(learnt)].map(([name, values]): [string, Numbers] => [name, values.slice()]));

describe("what was learnt", () => {
  it("is restored with all that follows from it, and nothing else changes", () => {
    const [one, other] = [new Calibration([0.5, 0.2]), new Calibration([0.5, 0.2])];
    for (let i = 0; i < 30; i++) one.observe(1, i % 3 > 0);
    const kept = copyOf({ odds: one });
    one.observe(0, true);
    expect(restore({ odds: other }, kept)).toBeUndefined();
    expect(other.probs[0]).toBe(0.5);
    expect(other.probs[1]).toBe(one.probs[1]);
    other.observe(0, true);
    expect(other.probs).toEqual(one.probs);
    expect(restore({ more: other }, kept)).toBeUndefined();
    expect(other.probs).toEqual(one.probs);
  });

  it("is refused as a whole when a part of it does not fit", () => {
    const [first, second] = [new Calibration([0.5]), new Calibration([0.5])];
    for (const wrong of [Float64Array.of(1, 2, 3), Int32Array.of(1, 2)]) {
      const kept = new Map<string, Numbers>([
        ["first", Float64Array.of(30, 40)],
        ["second", wrong],
      ]);
      expect(restore({ first, second }, kept)).toBe("second");
      expect(first.probs[0]).toBe(0.5);
    }
  });
});

it.each([
  [2, 1],
  [-1, 16],
  [0, 0],
  [Number.NaN, 16],
  [1, Number.NaN],
  [3000, 3000],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
])("%d right of %d is no count", (hits, trials) => {
  const odds = new Calibration([0.5]);
  expect(restore({ odds }, new Map([["odds", Float64Array.of(hits, trials)]]))).toBe("odds");
});

it("counts that ran for long are still their own", () => {
  const odds = new Calibration([0.3, 0.3]);
  for (let i = 0; i < 100_000; i++) {
    odds.observe(0, true);
    odds.observe(1, false);
  }
  expect(odds.accepts(odds.values.slice())).toBe(true);
});

describe("rows of a recycling matrix", () => {
  const VOCAB = 40;
  const rowsWith = (row: readonly number[]) => {
    const rows = new RecycleMatrix(VOCAB).rows;
    rows.set(row, 5 * RECYCLE_WIDTH);
    return new Map([["recycle.matrix", rows]]);
  };

  it.each([[[0, 39, 7]], [[3]], [[7, 6, 5, 4, 3, 2, 1, 0]]])("%j can be", (row) => {
    const matrix = new RecycleMatrix(VOCAB);
    expect(restore(matrix.learnt, rowsWith(row))).toBeUndefined();
    expect([...matrix.rows.subarray(40, 40 + row.length)]).toEqual(row);
  });

  it.each([[[40]], [[-2]], [[2 ** 31 - 1]], [[1, 2, 1]], [[-1, 4]]])("%j cannot be", (row) => {
    const matrix = new RecycleMatrix(VOCAB);
    expect(restore(matrix.learnt, rowsWith(row))).toBe("recycle.matrix");
    expect(matrix.has(5)).toBe(false);
  });
});
