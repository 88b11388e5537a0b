/**
 * @file How often a kind of guess is right, counted as it runs. A class is whatever a drafter can tell apart (rank and
 * depth, length of a match). Every estimate stays in (0, 1) and starts at its prior.
 */

/** How many observations the prior is worth. */
const PRIOR_WEIGHT = 16;
/** Counts fade so that the last few thousand observations of a class decide. */
const MEMORY = 1 - 1 / 2000;

export class Calibration {
  /** Estimated probability of each class. */
  readonly probs: Float64Array;
  readonly #hits: Float64Array;
  readonly #trials: Float64Array;

  /** `priors`: the probability of each class before anything was seen, in (0, 1). */
  constructor(priors: readonly number[]) {
    this.probs = Float64Array.from(priors);
    this.#hits = this.probs.map((prior) => prior * PRIOR_WEIGHT);
    this.#trials = this.probs.map(() => PRIOR_WEIGHT);
  }

  /** A guess of class `index` was right or wrong. */
  observe(index: number, hit: boolean): void {
    const hits = this.#hits[index]! * MEMORY + (hit ? 1 : 0);
    const trials = this.#trials[index]! * MEMORY + 1;
    this.#hits[index] = hits;
    this.#trials[index] = trials;
    this.probs[index] = hits / trials;
  }
}
