/**
 * @file One probability out of several drafters' opinions on a token: logistic mixing, as in context-mixing compressors (Mahoney,
 * "Adaptive weighing of context models", 2005). A drafter's probability enters as its log-odds, times a weight that is learnt by gradient
 * descent on the coding cost. Weights are kept apart by who proposed the token, so that what silence of the others means is learnt too.
 */

import type { Memory, Numbers } from "./learnt.ts";

/** Drafters that may be told apart; all others count as the last. */
export const MIXED = 5;
/** Log-odds are at most this, so that no drafter is ever quite certain. */
export const MOST_ODDS = 6;
/** Steps of the descent: large at first, and never smaller than the last. */
const FIRST_RATE = 0.06;
const LAST_RATE = 0.004;
/** Observations of a set until the rate is the mean of both. */
const SETTLING = 200;
/** Of a weight: who proposes alone is believed, several share. */
const ALONE = 1;
const TOGETHER = 0.7;
/** What the odds of the likeliest other token say against one, until it is learnt. */
const AGAINST = 0.35;

/** Observations that a prior is worth. */
const KNOWN = 100;

/** Weights of a set: one a drafter, then that of the strongest rival, then the bias. */
const RIVAL = MIXED;
const BIAS = MIXED + 1;
const WEIGHTS = MIXED + 2;
const SETS = 2 ** (MIXED + 1);
/** No weight that is learnt comes near this. */
const MOST_WEIGHT = 100;

/** ln(p / (1 - p)), bounded. */
export function logOdds(prob: number): number {
  const odds = Math.log(prob / (1 - prob));
  return odds > MOST_ODDS ? MOST_ODDS : odds > -MOST_ODDS ? odds : -MOST_ODDS;
}

/** Weights of a set that were learnt before. */
export interface MixerPrior {
  /** {@link Mixer.setOf} */
  readonly set: number;
  /** By drafter; those left out do not matter in the set. */
  readonly drafters: readonly number[];
  readonly rival: number;
  readonly bias: number;
}

/** Mixes and learns; texts of one target may share it. */
export class Mixer implements Memory {
  /** Row `set` holds the weights for tokens which the drafters of the bit set `set % 2^MIXED` proposed; see {@link Mixer.setOf}. */
  readonly weights: Float64Array;
  /** By set, how often it was observed. */
  readonly counts: Float64Array;
  /** Weights, then counts. */
  readonly values = new Float64Array(SETS * (WEIGHTS + 1));

  /** `priors`: what to begin with in some sets, where something is known of the drafters. */
  constructor(priors: readonly MixerPrior[] = []) {
    this.weights = this.values.subarray(0, SETS * WEIGHTS);
    this.counts = this.values.subarray(SETS * WEIGHTS);
    for (let set = 0; set < SETS; set++) {
      const proposers = set & (2 ** MIXED - 1);
      const alone = (proposers & (proposers - 1)) === 0;
      const from = set * WEIGHTS;
      this.weights.fill(alone ? ALONE : TOGETHER, from, from + MIXED);
      this.weights[from + RIVAL] = AGAINST;
    }
    for (const { set, drafters, rival, bias } of priors) {
      const from = set * WEIGHTS;
      this.weights.set(drafters, from);
      this.weights[from + RIVAL] = rival;
      this.weights[from + BIAS] = bias;
      this.counts[set] = KNOWN;
    }
  }

  /** The set of weights for a token that the drafters of `sources` proposed, `model`: where a model was asked as well. */
  static setOf(sources: number, model: boolean): number {
    return sources + (model ? 2 ** MIXED : 0);
  }

  /**
   * How likely a token is. `odds` holds at `at` + i the log-odds by drafter i, 0 for those that did not propose it; `rival` is the
   * log-odds that the token is none of the others, by the strongest opinion on one of them (0 when there is none).
   */
  mix(set: number, odds: Float64Array, at: number, rival: number): number {
    const from = set * WEIGHTS;
    let sum = this.weights[from + BIAS]! + this.weights[from + RIVAL]! * rival;
    for (let i = 0; i < MIXED; i++) sum += this.weights[from + i]! * odds[at + i]!;
    return 1 / (1 + Math.exp(-sum));
  }

  /** The token, which got `prob`, was right or wrong. */
  learn(set: number, odds: Float64Array, at: number, rival: number, prob: number, hit: boolean): void {
    const { weights, counts } = this;
    const seen = counts[set]!++;
    const rate = LAST_RATE + ((FIRST_RATE - LAST_RATE) * SETTLING) / (SETTLING + seen);
    const step = rate * ((hit ? 1 : 0) - prob);
    const from = set * WEIGHTS;
    for (let i = 0; i < MIXED; i++) weights[from + i] = weights[from + i]! + step * odds[at + i]!;
    weights[from + RIVAL] = weights[from + RIVAL]! + step * rival;
    weights[from + BIAS] = weights[from + BIAS]! + step;
  }

  accepts(values: Numbers): boolean {
    const weights = values.subarray(0, SETS * WEIGHTS);
    const counts = values.subarray(SETS * WEIGHTS);
    return weights.every((weight) => Math.abs(weight) < MOST_WEIGHT) && counts.every((count) => count >= 0);
  }
}
