import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BudgetPlan, CostCurve, chooseBudget, type PassCosts } from "./cost.ts";

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

  it("learns from passes, and little from one that was held up", () => {
    const curve = new CostCurve(COSTS);
    curve.observe(1, 10_000);
    expect(curve.ms(1)).toBeLessThan(10.5);
    for (let i = 0; i < 300; i++) {
      curve.observe(8, 40);
      curve.observe(1, 10);
    }
    expect(curve.ms(8)).toBeCloseTo(40, 0);
    expect(curve.ms(1)).toBeCloseTo(10, 0);
  });

  it("refuses a table that makes no sense", () => {
    for (const costs of [[], [{ rows: 2, ms: 1 }], [{ rows: 1, ms: Number.NaN }], [COSTS[0]!, COSTS[0]!]]) {
      expect(() => new CostCurve(costs)).toThrow(RangeError);
    }
  });
});

describe("chooseBudget", () => {
  it("keeps what costs less than it brings, also behind a node that alone does not pay", () => {
    const cost = new CostCurve([10, 15, 16, 30].map((ms, i) => ({ rows: i + 1, ms })));
    const gains = [1, 0.4, 0.4, 0.4];
    expect(chooseBudget(gains, 4, cost, 0.1)).toBe(3);
    expect(chooseBudget(gains, 2, cost, 0.1)).toBe(1);
    expect(chooseBudget(gains, 4, cost, 0)).toBe(4);
    expect(chooseBudget(gains, 4, cost, 10)).toBe(1);
  });
});

describe("BudgetPlan", () => {
  const drafts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 15 });
  const shape = fc.tuple(
    fc.double({ min: 1, max: 20, noNaN: true }),
    fc.double({ min: 0, max: 20, noNaN: true }),
  );

  it("converges to the fixed budget with the most tokens per time when every step is alike", () => {
    fc.assert(
      fc.property(drafts, shape, (drafts, [one, more]) => {
        const cost = new CostCurve([
          { rows: 1, ms: one },
          { rows: 8, ms: one + more },
          { rows: 16, ms: one + 3 * more },
        ]);
        const truth = Float64Array.from({ length: 16 }, (_, i) => cost.ms(i + 1));
        const gains = [1, ...drafts.sort((a, b) => b - a)];
        const sum = (n: number) => gains.slice(0, n).reduce((a, b) => a + b, 0);
        const rate = (n: number) => sum(n) / truth[n - 1]!;
        const plan = new BudgetPlan(cost);
        let chosen = 0;
        for (let step = 0; step < 600; step++) {
          chosen = plan.choose(gains, gains.length);
          plan.observe({ nodes: chosen, tokens: sum(chosen), passMs: truth[chosen - 1]!, draftMs: 0 });
        }
        const best = Math.max(...gains.map((_, i) => rate(i + 1)));
        expect(rate(chosen)).toBeGreaterThan(best * 0.99);
      }),
    );
  });

  it("stops drafting when passes of many rows turn out dearer than was measured", () => {
    const plan = new BudgetPlan(new CostCurve(COSTS));
    const gains = [1, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1, 0.1];
    expect(plan.choose(gains, 8)).toBeGreaterThan(2);
    let chosen = 0;
    for (let step = 0; step < 300; step++) {
      chosen = plan.choose(gains, 8);
      plan.observe({ nodes: chosen, tokens: 1 + 0.3 * (chosen - 1), passMs: 10 * chosen, draftMs: 0 });
    }
    expect(chosen).toBe(1);
  });
});
