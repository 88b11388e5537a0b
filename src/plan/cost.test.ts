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

  it("tells what it has come to know, from which another one goes on", () => {
    const curve = new CostCurve(COSTS);
    expect(curve.points).toEqual(COSTS);
    for (let i = 0; i < 300; i++) curve.observe(8, 12);
    expect(curve.points.map(({ rows }) => rows)).toEqual([1, 8, 16]);
    expect(new CostCurve(curve.points).ms(8)).toBeCloseTo(12, 0);
  });

  it("shares a pass out among its texts: plain rows equally, drafted ones among those who drafted", () => {
    const curve = new CostCurve(COSTS);
    expect([1, 8, 12].map((rows) => curve.share(rows))).toEqual([10, 17, 25]);
    expect(curve.share(1, { texts: 3, rows: 3 })).toBe(13 / 4);
    // Four texts of 1, 2, 4 and 5 rows: the parts are the whole.
    const parts = [1, 2, 4, 5].map((rows) => curve.share(rows, { texts: 3, rows: 12 - rows }));
    expect(parts[0]).toBe(13 / 4);
    expect(parts[1]).toBe(13 / 4 + (25 - 13) / 8);
    expect(parts.reduce((sum, part) => sum + part)).toBe(25);
  });

  it("keeps the rows that are worth what they add to a pass of others", () => {
    const curve = new CostCurve(COSTS);
    const company = { texts: 3, rows: 7 };
    const gains = [1, 0.8, 0.6, 0.4];
    expect(chooseBudget(gains, 4, curve, 0.35)).toBe(4);
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
