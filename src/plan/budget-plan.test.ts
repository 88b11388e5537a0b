/** @file Tests of the plan on simulated machines: what its text costs, against plain decoding and every fixed length of drafts. */

import { describe, expect, it } from "vitest";
import { positionKey, uniform } from "../random.ts";
import { BudgetPlan } from "./budget-plan.ts";
import { CostCurve, type PassCosts } from "./cost.ts";

/** A machine and a drafter that drafts chains, one level a question. Times in milliseconds, at step t. */
interface World {
  /** A pass of n rows on a short text. */
  readonly pass: (rows: number, t: number) => number;
  /** What a token of the text adds to it; default 0. */
  readonly perToken?: (rows: number) => number;
  /** Tokens of the text. */
  readonly length?: (t: number) => number;
  readonly level: (t: number) => number;
  /** What drafting makes of the pass behind it: a factor, whatever the tree. */
  readonly behind?: number;
  /** The chance that a candidate is taken, drawn anew for every step; the drafter knows it. */
  readonly chance: (random: () => number, t: number) => number;
  /** What other programs make of any time: a factor. */
  readonly noise?: (random: () => number, t: number) => number;
  /** What is measured while loading makes of the true times: a factor by place in the table. */
  readonly spoilt?: readonly number[];
  /** The same of what a token adds. */
  readonly spoiltPerToken?: number;
}

const ROWS = [1, 2, 4, 8, 16];
const LEVELS = 8;
const STEPS = 4000;
/** Most times are up to a tenth too long, one in fifty is three times too long. */
const noisy = (random: () => number) => (random() < 0.02 ? 3 : 1 + 0.1 * random());
const flat = (rows: number) => 1 + 0.04 * (rows - 1);
const steep = (rows: number) => 1 + 0.35 * (rows - 1);
const good = (random: () => number) => (random() < 0.6 ? 0.9 : 0.5);
const bad = (random: () => number) => 0.3 * random();

function randomOf(seed: number): () => number {
  let drawn = 0;
  return () => uniform(positionKey(seed, drawn++), 0);
}

interface Chain {
  /** Of the root and its descendants, falling. */
  readonly values: number[];
  readonly ms: number;
}

/** Drafts as OPT-Tree does with its measured delta: another level as long as the next one gains more than it costs. */
function draft(
  world: World,
  chance: number,
  t: number,
  goesOn: (next: number, levels: number) => boolean,
): Chain {
  const values = [1];
  let ms = 0;
  while (values.length <= LEVELS && goesOn(values.at(-1)! * chance, values.length - 1)) {
    values.push(values.at(-1)! * chance);
    ms += world.level(t);
  }
  return { values, ms };
}

/** Tokens per millisecond over all steps; `length` drafted tokens in each, or as a plan says. */
function run(world: World, seed: number, length?: number): number {
  const noise = randomOf(seed);
  const luck = randomOf(seed + 1);
  const costs: PassCosts = ROWS.map((rows, i) => ({
    rows,
    ms: world.pass(rows, 0) * (world.spoilt?.[i] ?? 1),
    perToken: (world.perToken?.(rows) ?? 0) * (world.spoiltPerToken ?? 1),
  }));
  const plan = new BudgetPlan(new CostCurve(costs));
  let tokens = 0;
  let time = 0;
  for (let t = 0; t < STEPS; t++) {
    const disturbed = (ms: number) => ms * (world.noise?.(noise, t) ?? 1);
    const chance = world.chance(luck, t);
    const context = world.length?.(t) ?? 0;
    const turn = plan.next(context);
    let chain: Chain = { values: [1], ms: 0 };
    let nodes = 1;
    if (length !== undefined) {
      chain = draft(world, chance, t, (_, levels) => levels < length);
      nodes = chain.values.length;
    } else if (turn.kind === "drafted") {
      const { ms, node } = turn.prices;
      chain = draft(world, chance, t, (next, levels) => levels === 0 || next > node + ms * world.level(t));
      nodes = plan.choose(turn, chain.values, chain.values.length);
    }
    let accepted = 1;
    while (accepted < nodes && luck() < chance) accepted++;
    const draftMs = disturbed(chain.ms);
    const drafts = length === undefined ? turn.kind === "drafted" : length > 0;
    const behind = drafts ? (world.behind ?? 1) : 1;
    const passMs = disturbed(behind * (world.pass(nodes, t) + context * (world.perToken?.(nodes) ?? 0)));
    if (length === undefined) plan.observe(turn, { nodes, tokens: accepted, passMs, draftMs });
    tokens += accepted;
    time += draftMs + passMs;
  }
  return tokens / time;
}

/** A text of 4,000 tokens takes as long as the weights for one row, and three times as long for eight. */
const ofTexts = (rows: number) => 0.00025 * Math.max(1, (3 * rows) / 8);

/** The plan's rate over plain decoding's and over that of the best fixed length, means over seeds. */
function compare(world: World): { plain: number; best: number } {
  const seeds = [1, 1001, 2001];
  const rates = (length?: number) => seeds.map((seed) => run(world, seed, length));
  const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const planned = mean(rates());
  const fixed = Array.from({ length: LEVELS + 1 }, (_, length) => mean(rates(length)));
  return { plain: planned / fixed[0]!, best: planned / Math.max(...fixed) };
}

const WORLDS: Record<string, World> = {
  "flat passes, good drafts": { pass: flat, level: () => 0.05, chance: good },
  "steep passes, good drafts": { pass: steep, level: () => 0.1, chance: good },
  "steep passes, bad drafts": { pass: steep, level: () => 0.1, chance: bad },
  "flat passes, bad drafts, dear levels": { pass: flat, level: () => 0.4, chance: bad },
  "drafts that cost nothing": { pass: steep, level: () => 0.001, chance: bad },
  "a busy moment at load that spoilt the large passes": {
    pass: flat,
    level: () => 0.05,
    chance: good,
    spoilt: [1, 1.2, 3, 4, 4],
  },
  "one that spoilt the plain pass": { pass: steep, level: () => 0.1, chance: bad, spoilt: [2.5, 1, 1, 1, 1] },
  "one that spoilt everything but the plain pass": {
    pass: steep,
    level: () => 0.1,
    chance: good,
    spoilt: [1, 2, 2, 2, 2],
  },
  "large passes that looked cheap": {
    pass: steep,
    level: () => 0.1,
    chance: good,
    spoilt: [1, 0.75, 0.5, 0.35, 0.3],
  },
  "drafts that become bad": {
    pass: steep,
    level: () => 0.1,
    chance: (random, t) => (t < STEPS / 2 ? good : bad)(random),
  },
  "drafts that become good": {
    pass: steep,
    level: () => 0.1,
    chance: (random, t) => (t < STEPS / 2 ? bad : good)(random),
  },
  "passes that become steep": {
    pass: (rows, t) => (t < STEPS / 2 ? flat : steep)(rows),
    level: () => 0.1,
    chance: good,
  },
  "passes that become flat": {
    pass: (rows, t) => (t < STEPS / 2 ? steep : flat)(rows),
    level: () => 0.1,
    chance: good,
  },
  "a long text": { pass: flat, perToken: ofTexts, length: () => 4000, level: () => 0.05, chance: good },
  "a long text, bad drafts": {
    pass: flat,
    perToken: ofTexts,
    length: () => 4000,
    level: () => 0.05,
    chance: bad,
  },
  "a long text whose tokens looked dear": {
    pass: flat,
    perToken: ofTexts,
    length: () => 4000,
    level: () => 0.05,
    chance: good,
    spoiltPerToken: 3,
  },
  "a short and a long text in turns": {
    pass: flat,
    perToken: ofTexts,
    length: (t) => (t % 2 ? 4000 : 100),
    level: () => 0.05,
    chance: good,
  },
  "a short and a long text in turns, whose tokens looked cheap": {
    pass: flat,
    perToken: ofTexts,
    length: (t) => (t % 2 ? 4000 : 100),
    level: () => 0.05,
    chance: good,
    spoiltPerToken: 0.3,
  },
  "passes that take longer behind drafts, bad ones": {
    pass: flat,
    level: () => 0.06,
    behind: 1.2,
    chance: (random) => 0.5 * random(),
  },
  "passes that take longer behind drafts, good ones": {
    pass: flat,
    level: () => 0.05,
    behind: 1.3,
    chance: good,
  },
  "another program half of the time": {
    pass: steep,
    level: () => 0.1,
    chance: good,
    noise: (random, t) => noisy(random) * (t % 400 < 200 ? 1 : 2),
  },
};

/** Steps of a plan in a world where drafts give `tokens` for every step that keeps one; gives the plan, and the kinds of the last steps. */
function steps(
  count: number,
  tokens: number,
  plan = new BudgetPlan(
    new CostCurve([
      { rows: 1, ms: 1 },
      { rows: 2, ms: 1.5 },
    ]),
  ),
) {
  const kinds: string[] = [];
  for (let t = 0; t < count; t++) {
    const turn = plan.next();
    const nodes = turn.kind === "plain" ? 1 : 2;
    kinds.push(turn.kind);
    plan.observe(turn, {
      nodes,
      tokens: nodes === 1 ? 1 : tokens,
      passMs: nodes === 1 ? 1 : 1.5,
      draftMs: nodes === 1 ? 0 : 0.5,
    });
  }
  const drafted = kinds.slice(-1000).filter((kind) => kind === "drafted").length / Math.min(1000, count);
  return { plan, drafted };
}

describe("BudgetPlan", () => {
  it("never has a row cost less than nothing, though one row may seem to take longer than eight", () => {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: flat(rows) })));
    const plan = new BudgetPlan(cost);
    expect(plan.prices().node).toBeGreaterThan(0);
    for (let i = 0; i < 40; i++) {
      cost.observe([{ rows: 1, length: 0 }], 2);
      cost.observe([{ rows: 8, length: 0 }], 0.9);
    }
    expect(cost.ms(8)).toBeLessThan(cost.ms(1));
    expect(plan.prices().node).toBe(0);
    expect(plan.prices().ms).toBeGreaterThan(0);
  });

  it("stops drafting when drafts do not pay, says so, and starts again when they do", () => {
    const { plan, drafted } = steps(2000, 1.2);
    expect(plan.off).toMatch(/^off: drafts gave 0\.[67]\d tokens in the time of a plain one$/);
    expect(drafted).toBeGreaterThan(0);
    expect(drafted).toBeLessThan(0.03);
    expect(steps(2000, 3, plan).drafted).toBeGreaterThan(0.9);
    expect(plan.off).toBeUndefined();
  });

  it("goes on with drafts that cost next to nothing, however bad they begin", () => {
    const plan = new BudgetPlan(new CostCurve([{ rows: 1, ms: 1 }]));
    for (let t = 0; t < 500; t++) {
      plan.observe(plan.next(), { nodes: 1, tokens: 1, passMs: 1, draftMs: 0.03 });
      expect(plan.off).toBeUndefined();
    }
  });

  it("gives each of two texts the drafts of its own length", () => {
    const plan = new BudgetPlan(
      new CostCurve(ROWS.map((rows) => ({ rows, ms: flat(rows), perToken: ofTexts(rows) }))),
    );
    const kept = (length: number) =>
      plan.choose(plan.next(length), [1, 0.7, 0.45, 0.3, 0.2, 0.15, 0.1, 0.08], 8);
    expect(kept(100)).toBe(8);
    expect(kept(4000)).toBeLessThan(6);
    expect(kept(100)).toBe(8);
    expect(plan.prices(4000).node).toBeGreaterThan(2 * plan.prices(100).node);
    // A long text's time is worth less: its plain tokens take longer.
    expect(plan.prices(4000).ms).toBeLessThan(plan.prices(100).ms);
  });

  for (const [name, world] of Object.entries(WORLDS)) {
    it(`never slower than plain decoding, and near the best fixed length: ${name}`, () => {
      for (const noise of world.noise ? [world.noise] : [() => 1, noisy]) {
        const { plain, best } = compare({ ...world, noise });
        expect(plain).toBeGreaterThan(0.98);
        expect(best).toBeGreaterThan(0.98);
      }
    });
  }
});

describe("BudgetPlan of texts", () => {
  /** Texts of 100 tokens whose drafts all take a pass's half: in odd ones every one of three nodes is taken, in even ones none. */
  function texts(count: number, perText: boolean) {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: flat(rows) })));
    let plan = new BudgetPlan(cost);
    const drafted: number[] = [];
    let time = 0;
    for (let text = 0; text < count; text++) {
      if (perText) plan = new BudgetPlan(cost, plan);
      let steps = 0;
      for (let tokens = 0; tokens < 100; ) {
        const turn = plan.next();
        const drafts = turn.kind === "drafted";
        const accepted = drafts && text % 2 === 1 ? 4 : 1;
        const [nodes, draftMs] = drafts ? [4, 0.5] : [1, 0];
        plan.observe(turn, { nodes, tokens: accepted, passMs: flat(nodes), draftMs });
        if (drafts) steps++;
        tokens += accepted;
        time += flat(nodes) + draftMs;
      }
      drafted.push(steps);
    }
    return { drafted, time };
  }

  it("stops in a text that is unlike the others, and drafts in the next one again", () => {
    const { drafted, time } = texts(40, true);
    const late = drafted.slice(10);
    for (const [text, steps] of late.entries()) {
      if (text % 2 === 0) expect(steps).toBeLessThan(40);
      else expect(steps).toBeGreaterThan(22);
    }
    expect(time).toBeLessThan(0.95 * texts(40, false).time);
  });

  it("tries drafts in every text where others have lost none of the time for trials, and no longer than a trial", () => {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: flat(rows) })));
    let plan = new BudgetPlan(cost);
    const lose = (steps: number) => {
      let drafted = 0;
      for (let step = 0; step < steps; step++) {
        const turn = plan.next();
        const drafts = turn.kind === "drafted";
        if (drafts) drafted++;
        plan.observe(turn, { nodes: drafts ? 4 : 1, tokens: 1, passMs: 1, draftMs: drafts ? 0.5 : 0 });
      }
      return drafted;
    };
    lose(2000);
    expect(plan.off).toMatch(/^off: drafts gave 0\.\d\d tokens/);
    let drafted = 0;
    for (let text = 0; text < 50; text++) {
      plan = new BudgetPlan(cost, plan);
      const of = lose(100);
      expect(of).toBeLessThanOrEqual(16);
      drafted += of;
    }
    expect(drafted).toBeGreaterThan(0);
    // Half a pass is lost in each: a pass for every text, and the part of the time that is for trials.
    expect(0.5 * drafted).toBeLessThan(50 + (5000 + 0.5 * drafted) / 64);
  });

  /** A small model: code that is cold takes `cold` plain passes a draft, `steps` of them, and no draft is ever taken. */
  function hopeless(texts: number, cold: number) {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.16 * steep(rows) })));
    let plan = new BudgetPlan(cost);
    const losses: number[] = [];
    for (let text = 0; text < texts; text++) {
      plan = new BudgetPlan(cost, plan);
      let time = 0;
      for (let step = 0; step < 128; step++) {
        const turn = plan.next();
        const [nodes, draft] = turn.kind === "drafted" ? [4, cold] : [1, 0];
        plan.observe(turn, { nodes, tokens: 1, passMs: 0.16 * steep(nodes), draftMs: 0.16 * draft });
        time += steep(nodes) + draft;
      }
      losses.push(time / 128 - 1);
    }
    return losses;
  }

  it("loses no more than a small part of each text on drafts that take far longer than a pass, from the first text on", () => {
    for (const cold of [2, 6]) {
      const losses = hopeless(100, cold);
      expect(Math.max(...losses)).toBeLessThan(0.12);
      const mean = losses.reduce((sum, loss) => sum + loss, 0) / losses.length;
      expect(mean).toBeGreaterThan(0);
      expect(mean).toBeLessThan(0.02);
    }
  });

  it("goes on in the next text with what seems to pay but for cold code, and not with what does not", () => {
    for (const tokens of [4, 1]) {
      const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.2 * steep(rows) })));
      const first = new BudgetPlan(cost, new BudgetPlan(cost));
      for (let step = 0; step < 5; step++) {
        const turn = first.next();
        const nodes = turn.kind === "drafted" ? 4 : 1;
        first.observe(turn, {
          nodes,
          tokens: Math.min(nodes, tokens),
          passMs: 0.2 * steep(nodes),
          draftMs: 0.2 * (nodes - 1) * 3,
        });
      }
      expect(new BudgetPlan(cost, first).rests).toBe(tokens === 1);
    }
  });

  it("tries less often in texts that begin when trials fail, and as often again when one has not", () => {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.2 * steep(rows) })));
    let plan = new BudgetPlan(cost);
    const drafted = (tokens: number) => {
      plan = new BudgetPlan(cost, plan);
      let steps = 0;
      for (let step = 0; step < 20; step++) {
        const turn = plan.next();
        const drafts = turn.kind === "drafted";
        if (drafts) steps++;
        plan.observe(turn, {
          nodes: drafts ? 4 : 1,
          tokens: drafts ? tokens : 1,
          passMs: 0.2 * steep(drafts ? 4 : 1),
          draftMs: drafts ? 0.6 : 0,
        });
      }
      return steps;
    };
    const tried = (texts: number, tokens: number) =>
      Array.from({ length: texts }, () => drafted(tokens)).filter((steps) => steps > 0).length;
    tried(400, 1);
    const rare = tried(100, 1);
    expect(rare).toBeGreaterThan(2);
    expect(rare).toBeLessThan(15);
    expect(tried(100, 9)).toBeGreaterThan(60);
  });

  it("stops at once where nothing is taken, and tries drafts when the text repeats itself", () => {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.2 * steep(rows) })));
    const plan = new BudgetPlan(cost, new BudgetPlan(cost));
    const step = (repeated: number, tokens: number) => {
      const turn = plan.next(0, undefined, repeated);
      const drafts = turn.kind === "drafted";
      const nodes = drafts ? 4 : 1;
      plan.observe(turn, {
        nodes,
        tokens: drafts ? tokens : 1,
        passMs: 0.2 * steep(nodes),
        draftMs: drafts ? 0.2 : 0,
      });
      return turn.kind;
    };
    const kinds = Array.from({ length: 20 }, () => step(0, 1));
    expect(kinds.indexOf("plain")).toBeLessThan(5);
    expect(kinds.lastIndexOf("drafted")).toBeLessThan(5);
    expect(step(5, 4)).toBe("plain");
    expect(Array.from({ length: 20 }, () => step(6, 4))).toEqual(Array(20).fill("drafted"));
    expect(plan.off).toBeUndefined();
  });

  /** A plan that has stopped for good, since no draft was taken, on a model of 0.2 ms; `step` does what it says next. */
  function stopped() {
    const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.2 * flat(rows) })));
    const plan = new BudgetPlan(cost);
    const step = ({ repeated = 0, tokens = 1, draftMs = 0.1, unusual = false }) => {
      const turn = plan.next(0, undefined, repeated);
      const drafts = turn.kind === "drafted";
      const nodes = drafts ? 4 : 1;
      const spent = { nodes, tokens: drafts ? tokens : 1, passMs: 0.2 * flat(nodes), unusual };
      plan.observe(turn, { ...spent, draftMs: drafts ? draftMs : 0 });
      return turn.kind;
    };
    for (let i = 0; i < 3000; i++) step({});
    expect(plan.rests).toBe(true);
    return { plan, step };
  }

  it("goes on with a trial in which drafters had much to read at first", () => {
    const { plan, step } = stopped();
    expect(step({ repeated: 6, tokens: 4, draftMs: 4 })).toBe("drafted");
    expect(Array.from({ length: 20 }, () => step({ tokens: 4 }))).toEqual(Array(20).fill("drafted"));
    expect(plan.off).toBeUndefined();
  });

  it("does not stop over steps that drafted as others do not", () => {
    const offs = [true, false].map((unusual) => {
      const cost = new CostCurve(ROWS.map((rows) => ({ rows, ms: 0.2 * flat(rows) })));
      const first = new BudgetPlan(cost);
      const observe = (plan: BudgetPlan, draftMs: number, unusual = false) => {
        const spent = { nodes: 4, tokens: 2, passMs: 0.2 * flat(4), draftMs, unusual };
        plan.observe(plan.next(), spent);
      };
      for (let i = 0; i < 300; i++) observe(first, 0.1);
      for (let i = 0; i < 40; i++) observe(first, 2, unusual);
      return new BudgetPlan(cost, first).off !== undefined;
    });
    expect(offs).toEqual([false, true]);
  });
});
