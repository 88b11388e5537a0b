import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BudgetPlan, chooseBudget, type PassCosts, passMs } from "./cost.ts";

const TIMES: PassCosts = [
  { rows: 1, ms: 10 },
  { rows: 8, ms: 17 },
  { rows: 16, ms: 33 },
];

describe("passMs", () => {
  it("draws straight lines between and behind what was measured", () => {
    expect([1, 2, 8, 12, 16, 20].map((rows) => passMs(TIMES, rows))).toEqual([10, 11, 17, 25, 33, 41]);
    expect(passMs([{ rows: 1, ms: 4 }], 3)).toBe(4);
  });
});

describe("chooseBudget", () => {
  it("keeps what costs less than it brings, also behind a node that alone does not pay", () => {
    const cost = Float64Array.from([10, 15, 16, 30]);
    const gains = [1, 0.4, 0.4, 0.4];
    expect(chooseBudget(gains, 4, cost, 0.1)).toBe(3);
    expect(chooseBudget(gains, 2, cost, 0.1)).toBe(1);
    expect(chooseBudget(gains, 4, cost, 0)).toBe(4);
    expect(chooseBudget(gains, 4, cost, 10)).toBe(1);
  });

  it("converges to the fixed budget with the most tokens per time when every step is alike", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 15 }),
        fc.tuple(fc.double({ min: 1, max: 20, noNaN: true }), fc.double({ min: 0, max: 20, noNaN: true })),
        (drafts, [one, more]) => {
          const times = [
            { rows: 1, ms: one },
            { rows: 8, ms: one + more },
            { rows: 16, ms: one + 3 * more },
          ];
          const gains = [1, ...drafts.sort((a, b) => b - a)];
          const sum = (n: number) => gains.slice(0, n).reduce((a, b) => a + b, 0);
          const rate = (n: number) => sum(n) / passMs(times, n);
          const plan = new BudgetPlan(times);
          let chosen = 0;
          for (let step = 0; step < 600; step++) {
            chosen = plan.choose(gains, gains.length);
            plan.observe(chosen, sum(chosen));
          }
          const best = Math.max(...gains.map((_, i) => rate(i + 1)));
          expect(rate(chosen)).toBeGreaterThan(best * 0.99);
        },
      ),
    );
  });
});

describe("BudgetPlan", () => {
  it("refuses a table that makes no sense", () => {
    for (const times of [[], [{ rows: 2, ms: 1 }], [{ rows: 1, ms: Number.NaN }], [TIMES[0]!, TIMES[0]!]]) {
      expect(() => new BudgetPlan(times)).toThrow(RangeError);
    }
  });
});
