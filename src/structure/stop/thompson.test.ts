import { describe, expect, test } from "vitest";
import { outcomeOf } from "../../../test/outcomes.ts";
import { positionKey, uniform } from "../../random.ts";
import { DraftTree } from "../../tree/draft-tree.ts";
import { betaTs } from "./beta-ts.ts";
import { Calibrated, calibrationTs, costAware } from "./calibration-ts.ts";
import { fixed } from "./fixed.ts";
import { BetaPosterior, trialsOf } from "./posterior.ts";
import type { StopRule } from "./stop-rule.ts";

const LONGEST = 8;
/** A token's part of the time of a pass. */
const COST = 0.2;

interface Guess {
  readonly confidence: number;
  readonly right: boolean;
}
/** A drafter whose guesses are right with a known chance. `draw` is uniform in (0, 1). */
type Simulated = (draw: () => number, round: number) => Guess;

const always =
  (chance: number, confidence = chance): Simulated =>
  (draw) => ({ confidence, right: draw() < chance });

interface Round {
  readonly drafted: number;
  readonly accepted: number;
}

/** Drafts chains as `rule` says, and lets it learn. `rate`: the tokens that time would give otherwise, by which the price goes. */
function simulate(rule: StopRule, drafter: Simulated, rounds: number, { seed = 1, rate = 1 } = {}): Round[] {
  let draws = 0;
  const draw = () => uniform(positionKey(seed, draws++), 1);
  const price = COST * rate;
  return Array.from({ length: rounds }, (_, round) => {
    const tree = new DraftTree(0, LONGEST + 1);
    const rights: boolean[] = [];
    for (let levels = 0; levels < LONGEST; levels++) {
      const value = tree.values[levels]!;
      if (!rule.continue({ levels, best: value, gain: value, next: value, price })) break;
      const { confidence, right } = drafter(draw, round);
      tree.push(levels, 1, confidence);
      rights.push(right);
    }
    const wrong = rights.indexOf(false);
    const accepted = wrong < 0 ? rights.length : wrong;
    rule.observe?.(outcomeOf(tree, [...Array(accepted + 1).keys()], 9));
    return { drafted: rights.length, accepted };
  });
}

/** Tokens for the time of a plain pass. */
function paceOf(rounds: readonly Round[]): number {
  const sum = (of: (round: Round) => number) => rounds.reduce((total, round) => total + of(round), 0);
  return sum(({ accepted }) => accepted + 1) / sum(({ drafted }) => 1 + COST * drafted);
}

/** The pace of the best fixed length. */
function bestFixed(drafter: Simulated, rounds = 4000): number {
  const paces = Array.from({ length: LONGEST + 1 }, (_, length) =>
    paceOf(simulate(fixed(length), drafter, rounds)),
  );
  return Math.max(...paces);
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;

describe("a posterior", () => {
  test("finds the rate, and is about as sure as it may be", () => {
    for (const chance of [0.1, 0.5, 0.9]) {
      const posterior = new BetaPosterior(1);
      let draws = 0;
      for (let round = 0; round < 500; round++) {
        const hits = [1, 2, 3].filter(() => uniform(positionKey(7, draws++), 1) < chance).length;
        posterior.observe(hits, 3 - hits);
      }
      expect(Math.abs(posterior.mean - chance)).toBeLessThan(0.03);
      const samples = Array.from({ length: 4000 }, () => posterior.sample());
      expect(Math.abs(mean(samples) - posterior.mean)).toBeLessThan(0.002);
      const spread = Math.sqrt(mean(samples.map((sample) => (sample - mean(samples)) ** 2)));
      const expected = Math.sqrt((posterior.mean * (1 - posterior.mean)) / 1503);
      expect(spread / expected).toBeGreaterThan(0.93);
      expect(spread / expected).toBeLessThan(1.07);
    }
  });

  test("begins with any chance as likely", () => {
    const posterior = new BetaPosterior();
    const samples = Array.from({ length: 4000 }, () => posterior.sample()).sort((a, b) => a - b);
    for (const part of [0.1, 0.5, 0.9]) expect(Math.abs(samples[4000 * part]! - part)).toBeLessThan(0.03);
  });

  test("sees the levels up to the first wrong one, in chains and trees", () => {
    const tree = new DraftTree(0, 8);
    // 0 - 1 (0.5) - 3 (0.4) - 4 (0.9); 0 - 2 (0.3)
    for (const [parent, prob] of [
      [0, 0.5],
      [0, 0.3],
      [1, 0.4],
      [3, 0.9],
    ] as const)
      tree.push(parent, 10 + tree.size, prob);
    const trials = (path: number[]) => trialsOf(outcomeOf(tree, path, 9));
    const hit = (confidence: number) => ({ confidence, hit: true });
    const miss = (confidence: number) => ({ confidence, hit: false });
    expect(trials([0])).toEqual([miss(0.8)]);
    expect(trials([0, 2])).toEqual([hit(0.8)]);
    expect(trials([0, 1])).toEqual([hit(0.8), miss(0.4)]);
    expect(trials([0, 1, 3, 4])).toEqual([hit(0.8), hit(0.4), hit(0.9)]);
    expect(trialsOf(outcomeOf(new DraftTree(0, 1), [0], 9))).toEqual([]);
  });
});

describe("beta-ts", () => {
  test("finds the rate of its drafts", () => {
    for (const chance of [0.2, 0.6, 0.9]) {
      const found = SEEDS.map((seed) => {
        const posterior = new BetaPosterior();
        simulate(betaTs(posterior), always(chance), 200, { seed });
        return posterior.mean;
      });
      expect(Math.abs(mean(found) - chance)).toBeLessThan(0.05);
    }
  });

  test("drafts as long as a coin of that chance would", () => {
    // A geometric length, cut at LONGEST.
    for (const chance of [0.2, 0.6]) {
      const rounds = SEEDS.flatMap((seed) => simulate(betaTs(), always(chance), 300, { seed }).slice(100));
      const expected = (1 - chance ** LONGEST) / (1 - chance);
      expect(Math.abs(mean(rounds.map(({ drafted }) => drafted)) / expected - 1)).toBeLessThan(0.15);
    }
  });
});

describe.each([
  ["beta-ts", betaTs],
  ["calibration-ts", calibrationTs],
  ["cost-aware", costAware],
] as const)("%s", (_, make) => {
  test("loses less to the best fixed length as rounds go by", () => {
    for (const chance of [0.15, 0.9]) {
      const drafter = always(chance);
      const rate = bestFixed(drafter);
      /** Tokens lost a round, in rounds [from, to). */
      const regret = (from: number, to: number) =>
        mean(
          SEEDS.map((seed) => {
            const some = simulate(make(), drafter, to, { seed, rate }).slice(from);
            return mean(some.map(({ drafted, accepted }) => rate * (1 + COST * drafted) - accepted - 1));
          }),
        );
      expect(regret(200, 400)).toBeLessThan(regret(0, 10) - 0.01);
    }
  });

  test("follows a change of regime within 50 rounds", () => {
    for (const [from, to] of [
      [0.9, 0.2],
      [0.2, 0.9],
    ] as const) {
      const drafter: Simulated = (draw, round) => always(round < 300 ? from : to)(draw, round);
      const lengths = (drafter: Simulated, rounds: number, since: number) =>
        mean(
          SEEDS.map((seed) =>
            mean(
              simulate(make(), drafter, rounds, { seed })
                .slice(since)
                .map(({ drafted }) => drafted),
            ),
          ),
        );
      const settled = lengths(always(to), 400, 200);
      const before = lengths(always(from), 300, 200);
      const after = lengths(drafter, 380, 350);
      expect(Math.abs(after - settled)).toBeLessThan(0.15 * Math.abs(before - settled));
    }
  });
});

describe("calibration-ts and cost-aware", () => {
  // Six of ten tokens are easy, and the drafter knows which.
  const mixed: Simulated = (draw) => (draw() < 0.6 ? always(0.95)(draw, 0) : always(0.4)(draw, 0));
  const rules = [calibrationTs, costAware];

  test("tie with the best fixed length where confidence tells nothing, and beat it where it does", () => {
    for (const make of rules) {
      for (const chance of [0.3, 0.6, 0.85]) {
        const rate = bestFixed(always(chance));
        expect(paceOf(simulate(make(), always(chance), 4000, { rate }))).toBeGreaterThan(0.98 * rate);
      }
      const rate = bestFixed(mixed);
      expect(paceOf(simulate(make(), mixed, 4000, { rate }))).toBeGreaterThan(1.02 * rate);
    }
  });

  test("learn how much confidence is worth", () => {
    // Of one chance whatever the drafter says; just right; surer than it says.
    const blind: Simulated = (draw) => ({ ...always(0.6)(draw, 0), confidence: 0.05 + 0.9 * draw() });
    const shy: Simulated = (draw) => {
      const { confidence, right } = mixed(draw, 0);
      return { right, confidence: confidence > 0.5 ? 0.8 : 0.45 };
    };
    const weightFor = (drafter: Simulated) =>
      mean(
        SEEDS.map((seed) => {
          const learnt = new Calibrated();
          simulate(costAware(learnt), drafter, 300, { seed });
          return learnt.weight;
        }),
      );
    expect(weightFor(blind)).toBeLessThan(0.25);
    expect(weightFor(mixed)).toBeGreaterThan(0.7);
    expect(weightFor(shy)).toBeGreaterThan(weightFor(mixed));
  });

  test("of no price, cost-aware never stops and calibration-ts tosses a coin of the blended chance", () => {
    const rate = 0;
    expect(new Set(simulate(costAware(), mixed, 50, { rate }).map(({ drafted }) => drafted))).toEqual(
      new Set([LONGEST]),
    );
    const lengths = (confidence: number) =>
      mean(
        simulate(calibrationTs(), always(confidence), 400, { rate })
          .slice(100)
          .map(({ drafted }) => drafted),
      );
    expect(Math.abs(lengths(0.3) - 1 / 0.7)).toBeLessThan(0.25);
    expect(lengths(0.9)).toBeGreaterThan(3);
  });
});
