/**
 * @file EESD's Calibration-TS (arXiv:2406.03853) and a rule that only counts costs. The paper's equations could not be read; these are ours.
 *
 * The chance that the newest level is right is blended of the drafter's confidence c in it and of how often drafts are right, theta:
 *
 *     logit p = w logit c + (1 - w) logit theta
 *
 * The weight w is learnt by logistic regression on every level whose outcome is known. Another level gives theta times the product of the
 * p above it in tokens. Drafting goes on where that is more than it costs, with theta a Thompson sample for each step: so with the
 * chance that is believed of its paying.
 */

import type { Memory, Numbers } from "../../draft/learnt.ts";
import { BetaPosterior, type Trial, trialsOf } from "./posterior.ts";
import type { Progress, StopRule } from "./stop-rule.ts";

/** Of w, at first and at most: a drafter may be less sure than it should be. */
const WEIGHT = 0.5;
const MOST_WEIGHT = 1.5;
/** How far w moves for an outcome. */
const STEP = 0.05;
/** Chances are taken to be at least this, and at most 1 minus it. */
const LEAST = 0.002;

function logit(chance: number): number {
  const inside = Math.min(1 - LEAST, Math.max(LEAST, chance));
  return Math.log(inside / (1 - inside));
}

function blend(weight: number, confidence: number, theta: number): number {
  return 1 / (1 + Math.exp(-weight * logit(confidence) - (1 - weight) * logit(theta)));
}

/** What rules have learnt: those that share it learn together. */
export class Calibrated implements Memory {
  readonly posterior = new BetaPosterior();
  /** The weight alone; the posterior is a memory of its own. */
  readonly values = Float64Array.of(WEIGHT);

  /** How much the drafter's confidence counts. */
  get weight(): number {
    return this.values[0]!;
  }

  /** The chance that a level is right. */
  chance(confidence: number, theta: number): number {
    return blend(this.weight, confidence, theta);
  }

  learn(trials: readonly Trial[]): void {
    if (trials.length === 0) return;
    const theta = this.posterior.mean;
    for (const { confidence, hit } of trials) {
      const error = Number(hit) - this.chance(confidence, theta);
      const moved = this.weight + STEP * error * (logit(confidence) - logit(theta));
      this.values[0] = Math.min(MOST_WEIGHT, Math.max(0, moved));
    }
    const hits = trials.filter(({ hit }) => hit).length;
    this.posterior.observe(hits, trials.length - hits);
  }

  accepts(values: Numbers): boolean {
    return values.every((weight) => weight >= 0 && weight <= MOST_WEIGHT);
  }
}

/** While nothing is measured, a coin of chance p decides, as in the paper. The first level is always asked for. */
export function calibrationTs(learnt = new Calibrated()): StopRule {
  const { posterior } = learnt;
  return blended(
    learnt,
    () => posterior.sample(),
    ({ gives, right, price }) => (price > 0 ? gives > price : posterior.draw() < right),
  );
}

/** The same with the mean for theta: it never tries what does not seem to pay, and goes on while nothing is measured. */
export function costAware(learnt = new Calibrated()): StopRule {
  return blended(
    learnt,
    () => learnt.posterior.mean,
    ({ gives, price }) => gives > price,
  );
}

interface Outlook {
  /** Tokens that the next level gives. */
  readonly gives: number;
  /** The chance that the newest level is right. */
  readonly right: number;
  readonly price: number;
}

function blended(learnt: Calibrated, draw: () => number, proceed: (outlook: Outlook) => boolean): StopRule {
  let theta = 1;
  /** The chance that all levels are right, and the gain of the newest. */
  let chain = 1;
  let before = 1;
  return {
    continue({ levels, gain, price }: Progress) {
      if (levels === 0) {
        theta = draw();
        chain = 1;
        before = 1;
        return true;
      }
      // Of a chain, the newest token's probability.
      const right = learnt.chance(gain / before, theta);
      before = gain;
      chain *= right;
      return proceed({ gives: chain * theta, right, price });
    },
    observe: (outcome) => learnt.learn(trialsOf(outcome)),
  };
}
