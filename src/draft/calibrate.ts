/**
 * @file How often a kind of guess is right, counted as it runs. A class is whatever a drafter can tell apart (rank and
 * depth, length of a match). Every estimate stays in (0, 1) and starts at its prior.
 */

import type { Memory, Numbers } from "./learnt.ts";

/** How many observations the prior is worth. */
const PRIOR_WEIGHT = 16;
/** Counts fade so that the last few thousand observations of a class decide. */
const LAST = 2000;
const MEMORY = 1 - 1 / LAST;

export class Calibration implements Memory {
  /** Estimated probability of each class. */
  readonly probs: Float64Array;
  /** How often each class was right, and behind all of these how often it was observed, both fading. */
  readonly values: Float64Array;

  /** `priors`: the probability of each class before anything was seen, in (0, 1). */
  constructor(priors: readonly number[]) {
    this.probs = Float64Array.from(priors);
    const hits = priors.map((prior) => prior * PRIOR_WEIGHT);
    this.values = Float64Array.from([...hits, ...priors.map(() => PRIOR_WEIGHT)]);
  }

  /** A guess of class `index` was right or wrong; or right to a part, from 0 to 1, where something else may have been. */
  observe(index: number, hit: boolean | number): void {
    const { probs, values } = this;
    const hits = values[index]! * MEMORY + Number(hit);
    const trials = values[probs.length + index]! * MEMORY + 1;
    values[index] = hits;
    values[probs.length + index] = trials;
    probs[index] = hits / trials;
  }

  accepts(values: Numbers): boolean {
    const count = this.probs.length;
    return this.probs.every((_, i) => {
      const [hits, trials] = [values[i]!, values[count + i]!];
      // Rounding may end a little above what counts tend to.
      return hits >= 0 && hits <= trials && trials >= 1 && trials <= LAST + 1;
    });
  }

  restored(): void {
    const { probs, values } = this;
    for (let i = 0; i < probs.length; i++) probs[i] = values[i]! / values[probs.length + i]!;
  }
}
