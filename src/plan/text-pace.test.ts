/** @file Tests of when a text gives up drafts that pay in others: not over a little bad luck, nor over what the machine does, but where it is hopeless. */

import { beforeEach, describe, expect, it } from "vitest";
import { BudgetPlan, type Spent } from "./budget-plan.ts";
import { CostCurve } from "./cost.ts";

const ROWS = [1, 2, 4, 8, 16];
/** A drafted step of four nodes that gives what is expected of it. */
const USUAL: Spent = { nodes: 4, tokens: 2.1, expected: 2.1, passMs: 1.2, draftMs: 0.3 };

let COST: CostCurve;

beforeEach(() => {
  COST = new CostCurve(ROWS.map((rows) => ({ rows, ms: 1 + 0.07 * (rows - 1) })));
});

/** The plan of a text behind `before` usual drafted steps of other texts. */
function behind(before: number): BudgetPlan {
  const plan = new BudgetPlan(COST);
  for (let drafted = 0; drafted < before; ) {
    const turn = plan.next();
    if (turn.kind === "drafted") drafted++;
    plan.observe(turn, turn.kind === "drafted" ? USUAL : { nodes: 1, tokens: 1, passMs: 1, draftMs: 0 });
  }
  return new BudgetPlan(COST, plan);
}

/** How many of `count` steps a text drafts, the i-th as `at` says. */
function drafted(plan: BudgetPlan, count: number, at: (i: number) => Partial<Spent>): number {
  let steps = 0;
  for (let i = 0; i < count; i++) {
    const turn = plan.next();
    const drafts = turn.kind === "drafted";
    plan.observe(turn, drafts ? { ...USUAL, ...at(steps) } : { nodes: 1, tokens: 1, passMs: 1, draftMs: 0 });
    if (drafts) steps++;
  }
  return steps;
}

describe("a text where drafts pay in others", () => {
  it("goes on though the first twelve of its steps give nothing, when more was expected of them", () => {
    const unlucky = (i: number) => ({ tokens: i < 12 ? 1 : 2.1 });
    const plan = behind(200);
    expect(drafted(plan, 100, unlucky)).toBeGreaterThan(90);
    expect(plan.off).toBeUndefined();
  });

  it("gives up where nothing comes for long, whatever is expected", () => {
    const plan = behind(200);
    expect(drafted(plan, 300, () => ({ tokens: 1, expected: 1.4 }))).toBeLessThan(100);
    expect(plan.off).toMatch(/^off: drafts gave 0\.\d\d tokens/);
  });

  it("gives up sooner where nothing is expected either", () => {
    const steps = (expected: number) => drafted(behind(200), 100, () => ({ tokens: 1, expected }));
    expect(steps(1)).toBeLessThan(steps(1.4));
  });

  it("goes on though the machine is slow in some of its drafts", () => {
    const plan = behind(200);
    expect(
      drafted(plan, 100, (i) => (i < 8 && i % 2 === 0 ? { draftMs: 8, tokens: 1.5 } : {})),
    ).toBeGreaterThan(90);
    expect(plan.off).toBeUndefined();
  });

  it("goes on though its own few steps are bad when the pace of all becomes known", () => {
    for (let before = 40; before < 80; before++) {
      const plan = behind(before);
      expect(
        drafted(plan, 100, (i) => (i < 5 ? { tokens: 1, draftMs: 1 } : {})),
        `${before} before`,
      ).toBeGreaterThan(85);
    }
  });
});

describe("what time is worth to a text", () => {
  /** What a node has to be worth in a text whose drafted steps give `tokens`, behind others that gave 8. */
  function price(tokens: number, steps = 40): number {
    const plan = behind(0);
    drafted(plan, 300, () => ({ tokens: 8, expected: 8 }));
    const text = new BudgetPlan(COST, plan);
    drafted(text, steps, () => ({ tokens, expected: tokens }));
    return text.prices().node;
  }

  it("is what its own drafts give, whatever others were like", () => {
    expect(price(8, 0)).toBeGreaterThan(2.5 * price(2));
    expect(price(2)).toBeLessThan(1.3 * price(1.6));
  });

  it("is a guess as long as nothing is known", () => {
    const { node } = new BudgetPlan(COST).prices();
    expect(node).toBeGreaterThan(1.2 * 0.07);
    expect(node).toBeLessThan(2 * 0.07);
  });
});

describe("drafts that pay in most texts", () => {
  it("are begun with behind a few in which they do not", () => {
    // In most they give 1.1 tokens in the time of a plain one, in the latest 0.8.
    let plan = behind(0);
    for (const tokens of [1.7, 1.7, 1.7, 1.7, 1.7, 1.7, 1.7, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2, 1.2]) {
      drafted(plan, 60, () => ({ tokens, expected: tokens }));
      plan = new BudgetPlan(COST, plan);
    }
    expect(plan.off).toBeUndefined();
    expect(plan.next().kind).toBe("drafted");
  });
});

describe("plain decoding while drafts pay", () => {
  it("is measured by steps that no draft disturbs", () => {
    const plan = behind(300);
    let behindDraft = true;
    let plain = 0;
    for (let i = 0; i < 4000; i++) {
      const turn = plan.next();
      const drafts = turn.kind === "drafted";
      // A draft makes the next pass half as long again.
      const passMs = drafts ? USUAL.passMs : behindDraft ? 1.5 : 1;
      plan.observe(turn, drafts ? USUAL : { nodes: 1, tokens: 1, passMs, draftMs: 0 });
      behindDraft = drafts;
      if (!drafts) plain++;
    }
    expect(plain).toBeGreaterThan(20);
    // A plain step loses 0.3 of a pass.
    expect(0.3 * plain).toBeLessThan(4000 / 64);
    expect(COST.ms(1)).toBeLessThan(1.05);
  });
});
