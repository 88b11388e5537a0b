import { describe, expect, it } from "vitest";
import { CostCurve, chooseBudget, type PassCosts } from "./cost.ts";

const COSTS: PassCosts = [
  { rows: 1, ms: 10 },
  { rows: 8, ms: 17 },
  { rows: 16, ms: 33 },
];

describe("CostCurve", () => {
  it("draws straight lines between what was measured", () => {
    const curve = new CostCurve(COSTS);
    expect([1, 2, 8, 12, 16].map((rows) => curve.ms(rows))).toEqual([10, 11, 17, 25, 33]);
    expect(curve.most).toBe(16);
  });

  it("goes on as straight as it ends", () => {
    const curve = new CostCurve(COSTS);
    expect([16, 17, 24].map((rows) => curve.ms(rows))).toEqual([33, 35, 49]);
    expect(new CostCurve([{ rows: 1, ms: 4 }]).ms(3)).toBe(12);
    for (let i = 0; i < 300; i++) curve.observe(24, 98);
    expect(curve.ms(24)).toBeGreaterThan(85);
  });

  it("shares a pass out among its texts: an equal part for the first row, then what a row adds", () => {
    const curve = new CostCurve(COSTS);
    const company = { texts: 3, rows: 7 };
    expect(curve.ms(1, company)).toBe(17 / 4);
    expect([2, 9].map((rows) => curve.ms(rows, company))).toEqual([17 / 4 + 2, 17 / 4 + 16]);
    // The parts of four texts of two rows each are the whole pass.
    expect(4 * curve.ms(1, { texts: 3, rows: 3 })).toBe(curve.ms(4));
    const gains = [1, 0.8, 0.6, 0.4];
    expect(chooseBudget(gains, 4, curve, 0.15)).toBe(4);
    expect(chooseBudget(gains, 4, curve, 0.41, company)).toBe(1);
    expect(chooseBudget(gains, 4, curve, 0.35, company)).toBe(2);
  });

  it("learns from passes, and little from one that was held up", () => {
    const curve = new CostCurve(COSTS);
    curve.observe(1, 10_000);
    expect(curve.ms(1)).toBeLessThan(11.5);
    for (let i = 0; i < 300; i++) {
      curve.observe(8, 40);
      curve.observe(1, 10);
    }
    expect(curve.ms(8)).toBeCloseTo(40, 0);
    expect(curve.ms(1)).toBeCloseTo(10, 0);
  });

  it("believes no time that a pass of more rows, or two passes of fewer, contradict", () => {
    const spoilt = new CostCurve([25, 12, 50, 40].map((ms, i) => ({ rows: 2 ** i, ms })));
    expect([1, 2, 4, 8].map((rows) => spoilt.ms(rows))).toEqual([12, 12, 24, 40]);
  });

  it("keeps how passes compare when all become slower, whichever it sees", () => {
    const curve = new CostCurve(COSTS);
    for (let i = 0; i < 200; i++) curve.observe(i % 10 === 0 ? 1 : 8, i % 10 === 0 ? 20 : 34);
    expect(curve.ms(8) / curve.ms(1)).toBeCloseTo(1.7, 1);
    expect(curve.ms(16) / curve.ms(1)).toBeGreaterThan(2);
    expect(curve.ms(1)).toBeCloseTo(20, -0.5);
  });

  it("refuses a table that makes no sense", () => {
    for (const costs of [[], [{ rows: 2, ms: 1 }], [{ rows: 1, ms: Number.NaN }], [COSTS[0]!, COSTS[0]!]]) {
      expect(() => new CostCurve(costs)).toThrow(RangeError);
    }
  });
});

describe("chooseBudget", () => {
  it("keeps what costs less than it brings, also behind a node that alone does not pay", () => {
    const cost = new CostCurve([10, 15, 16, 21].map((ms, i) => ({ rows: i + 1, ms })));
    const gains = [1, 0.4, 0.4, 0.4];
    expect(chooseBudget(gains, 4, cost, 0.1)).toBe(3);
    expect(chooseBudget(gains, 2, cost, 0.1)).toBe(1);
    expect(chooseBudget(gains, 4, cost, 0)).toBe(4);
    expect(chooseBudget(gains, 4, cost, 10)).toBe(1);
  });
});
