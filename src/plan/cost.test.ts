import { describe, expect, it } from "vitest";
import { positionKey, uniform } from "../random.ts";
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
    for (let i = 0; i < 300; i++) curve.observe([{ rows: 24, length: 0 }], 98);
    expect(curve.ms(24)).toBeGreaterThan(85);
  });

  it("tells what it has come to know, from which another one goes on", () => {
    const curve = new CostCurve(COSTS);
    expect(curve.points).toEqual(COSTS.map((cost) => ({ ...cost, perToken: 0 })));
    for (let i = 0; i < 300; i++) curve.observe([{ rows: 8, length: 0 }], 12);
    expect(curve.points.map(({ rows }) => rows)).toEqual([1, 8, 16]);
    expect(new CostCurve(curve.points).ms(8)).toBeCloseTo(12, 0);
  });

  it("shares a pass out among its texts: plain rows equally, drafted ones among those who drafted", () => {
    const curve = new CostCurve(COSTS);
    expect([1, 8, 12].map((rows) => curve.share(rows))).toEqual([10, 17, 25]);
    expect(curve.share(1, 0, { texts: 3, rows: 3, length: 0 })).toBe(13 / 4);
    // Four texts of 1, 2, 4 and 5 rows: the parts are the whole.
    const parts = [1, 2, 4, 5].map((rows) => curve.share(rows, 0, { texts: 3, rows: 12 - rows, length: 0 }));
    expect(parts[0]).toBe(13 / 4);
    expect(parts[1]).toBe(13 / 4 + (25 - 13) / 8);
    expect(parts.reduce((sum, part) => sum + part)).toBe(25);
  });

  it("keeps the rows that are worth what they add to a pass of others", () => {
    const curve = new CostCurve(COSTS);
    const company = { texts: 3, rows: 7, length: 0 };
    const gains = [1, 0.8, 0.6, 0.4];
    expect(chooseBudget(gains, 4, curve, 0.35)).toBe(4);
    expect(chooseBudget(gains, 4, curve, 0.41, 0, company)).toBe(1);
    expect(chooseBudget(gains, 4, curve, 0.35, 0, company)).toBe(2);
  });

  it("makes all numbers shorter at once when they were measured in a busy time, and trusts them less", () => {
    const busy = COSTS.map(({ rows, ms }) => ({ rows, ms: 8 * ms, perToken: 0.08 }));
    const curve = new CostCurve(busy);
    curve.observe([{ rows: 1, length: 100 }], 11);
    expect([1, 8, 16].map((rows) => curve.ms(rows, 100))).toEqual([11, 18, 34]);
    for (let i = 0; i < 6; i++) curve.observe([{ rows: 8, length: 100 }], 24);
    expect(curve.ms(8, 100)).toBeGreaterThan(22);
    // A clock that stood still is not believed.
    curve.observe([{ rows: 1, length: 100 }], 0);
    expect(curve.ms(1, 100)).toBeGreaterThan(1);
  });

  it("learns from passes, and little from one that was held up", () => {
    const curve = new CostCurve(COSTS);
    curve.observe([{ rows: 1, length: 0 }], 10_000);
    expect(curve.ms(1)).toBeLessThan(11.5);
    for (let i = 0; i < 300; i++) {
      curve.observe([{ rows: 8, length: 0 }], 40);
      curve.observe([{ rows: 1, length: 0 }], 10);
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
    for (let i = 0; i < 200; i++)
      curve.observe([{ rows: i % 10 === 0 ? 1 : 8, length: 0 }], i % 10 === 0 ? 20 : 34);
    expect(curve.ms(8) / curve.ms(1)).toBeCloseTo(1.7, 1);
    expect(curve.ms(16) / curve.ms(1)).toBeGreaterThan(2);
    expect(curve.ms(1)).toBeCloseTo(20, -0.5);
  });

  it("refuses a table that makes no sense", () => {
    for (const costs of [
      [],
      [{ rows: 2, ms: 1 }],
      [{ rows: 1, ms: Number.NaN }],
      [COSTS[0]!, COSTS[0]!],
      [{ rows: 1, ms: 1, perToken: -0.1 }],
      [{ rows: 1, ms: 1, perToken: Number.NaN }],
      [{ rows: 1, ms: 1, perToken: Number.POSITIVE_INFINITY }],
    ]) {
      expect(() => new CostCurve(costs)).toThrow(RangeError);
    }
  });
});

/** About what passes of a small model take, and what its text adds. */
const TRUE: PassCosts = [
  { rows: 1, ms: 2.4, perToken: 0.0007 },
  { rows: 4, ms: 2.6, perToken: 0.0012 },
  { rows: 8, ms: 3.1, perToken: 0.0021 },
  { rows: 16, ms: 4.8, perToken: 0.004 },
];

describe("CostCurve on texts of any length", () => {
  const truth = new CostCurve(TRUE);

  it("adds what tokens cost, more for more rows", () => {
    expect(truth.ms(1, 1000)).toBeCloseTo(3.1);
    expect(truth.ms(8, 4000)).toBeCloseTo(3.1 + 8.4);
    expect(truth.ms(24, 4000)).toBeCloseTo(6.5 + 4 * 5.9);
    expect(truth.points).toEqual(TRUE);
  });

  it("counts the tokens that layers see, where they see a window", () => {
    const half = new CostCurve(TRUE, (length) => (length + Math.min(length, 512)) / 2);
    expect(half.ms(1, 512)).toBeCloseTo(truth.ms(1, 512));
    expect(half.ms(1, 4096)).toBeCloseTo(truth.ms(1, 2304));
    for (let i = 0; i < 300; i++) half.observe([{ rows: 1, length: 4096 }], 5);
    expect(half.ms(1, 4096)).toBeCloseTo(5, 1);
  });

  it("gives each text of a shared pass its own tokens to answer for", () => {
    const texts = [1, 2, 4, 5].map((rows, i) => ({ rows, length: [0, 100, 1000, 4000][i]! }));
    const parts = texts.map(({ rows, length }) =>
      truth.share(rows, length, { texts: 3, rows: 12 - rows, length: 5100 - length }),
    );
    const whole =
      truth.ms(12) +
      texts.reduce((sum, { rows, length }) => sum + truth.ms(rows, length) - truth.ms(rows), 0);
    expect(parts.reduce((sum, part) => sum + part)).toBeCloseTo(whole);
    // Plain rows of a long text are borne by all, what it drafts by itself.
    const plain = (length: number) => truth.share(1, length, { texts: 1, rows: 1, length: 4000 - length });
    expect(plain(0)).toBeCloseTo(plain(4000));
    const drafted = (length: number) => truth.share(8, length, { texts: 1, rows: 1, length: 4000 - length });
    expect(drafted(4000) - drafted(0)).toBeCloseTo(4000 * (0.0021 - 0.0007));
  });

  it("keeps fewer rows of a long text, alone and in company", () => {
    const gains = [1, 0.7, 0.5, 0.35, 0.25, 0.2, 0.19, 0.18];
    for (const company of [undefined, { texts: 1, rows: 2, length: 500 }]) {
      const keep = (length: number) =>
        chooseBudget(gains, 8, truth, 1 / truth.share(1, length, company), length, company);
      expect(keep(100)).toBe(8);
      expect(keep(4000)).toBeLessThan(keep(100));
    }
    // The best by trying all.
    for (const length of [100, 4000]) {
      const rate = 1.2 / truth.ms(1, length);
      const surplus = gains.map(
        (_, i) => gains.slice(0, i + 1).reduce((a, b) => a + b) - rate * truth.ms(i + 1, length),
      );
      expect(chooseBudget(gains, 8, truth, rate, length)).toBe(1 + surplus.indexOf(Math.max(...surplus)));
    }
  });

  /** Passes of texts of 100, 1,000 and 4,000 tokens in turns, with what other programs make of their times. */
  function learn(curve: CostCurve, passes: number): void {
    const random = (i: number) => uniform(positionKey(3, i), 0);
    for (let i = 0; i < passes; i++) {
      const rows = 1 + Math.floor(8 * random(3 * i));
      const length = [100, 1000, 4000][Math.floor(i / 50) % 3]! + (i % 50);
      const noise = (random(3 * i + 1) < 0.02 ? 3 : 1) * (0.95 + 0.1 * random(3 * i + 2));
      curve.observe([{ rows, length }], truth.ms(rows, length) * noise);
    }
  }

  it.each([
    ["right", 1, 1],
    ["too short by a third", 0.67, 0.67],
    ["of texts too long by a half", 1, 1.5],
    ["of texts too short by a half", 1, 0.5],
    ["of short texts too long", 1.3, 1],
  ])("times that are %s at first become right at every length", (_, ms, perToken) => {
    const curve = new CostCurve(
      TRUE.map((cost) => ({ rows: cost.rows, ms: cost.ms * ms, perToken: cost.perToken! * perToken })),
    );
    learn(curve, 1500);
    for (const length of [100, 1000, 4000]) {
      for (const rows of [1, 4, 8]) {
        const ratio = curve.ms(rows, length) / truth.ms(rows, length);
        expect(ratio).toBeGreaterThan(0.8);
        expect(ratio).toBeLessThan(1.25);
      }
    }
  });

  it("learns from shared passes, too", () => {
    const curve = new CostCurve(TRUE.map((cost) => ({ ...cost, perToken: cost.perToken! * 0.5 })));
    const parts = [
      { rows: 1, length: 4000 },
      { rows: 3, length: 4000 },
    ];
    const ms = (of: CostCurve) => of.ms(4) + of.ms(1, 4000) - of.ms(1) + of.ms(3, 4000) - of.ms(3);
    for (let i = 0; i < 200; i++) curve.observe(parts, ms(truth));
    expect(ms(curve)).toBeCloseTo(ms(truth), 0);
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
