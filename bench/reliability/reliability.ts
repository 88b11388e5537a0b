/**
 * @file Whether guesses are as often right as they are said to be. Expected calibration error (Naeini et al., "Obtaining well calibrated
 * probabilities using Bayesian binning", 2015): in bins of equal width, how far what was said and what came are apart, weighted by guesses.
 */

/** Bins of what was said, of equal width. */
export const BINS = 15;

/** Guesses with about the same probability. */
export interface Bin {
  readonly guesses: number;
  /** Mean probability that was said, and part of the guesses that were right. */
  readonly said: number;
  readonly right: number;
}

/** Counts guesses by what was said of them. */
export class Reliability {
  readonly #guesses = new Float64Array(BINS);
  readonly #said = new Float64Array(BINS);
  readonly #right = new Float64Array(BINS);
  /** Variance of the number of right ones, if each is right with the probability that was said. */
  readonly #variance = new Float64Array(BINS);

  /** `said`: a probability, in [0, 1]. */
  add(said: number, right: boolean): void {
    const bin = Math.min(BINS - 1, Math.floor(said * BINS));
    this.#guesses[bin]! += 1;
    this.#said[bin]! += said;
    this.#right[bin]! += right ? 1 : 0;
    this.#variance[bin]! += said * (1 - said);
  }

  get guesses(): number {
    return sum(this.#guesses);
  }

  /** Mean probability that was said, and part of the guesses that were right; NaN without any. */
  get said(): number {
    return sum(this.#said) / this.guesses;
  }

  get right(): number {
    return sum(this.#right) / this.guesses;
  }

  /** Expected calibration error, in [0, 1]; NaN without any guess. */
  get error(): number {
    return sum(this.#said.map((said, bin) => Math.abs(said - this.#right[bin]!))) / this.guesses;
  }

  /** About the error that so many guesses have by chance when everything said is true: the mean of |N(0, variance)| by bin. */
  get chance(): number {
    return sum(this.#variance.map((variance) => Math.sqrt((2 * variance) / Math.PI))) / this.guesses;
  }

  /** By bin; those without guesses are undefined. */
  get bins(): (Bin | undefined)[] {
    return Array.from(this.#guesses, (guesses, bin) =>
      guesses === 0
        ? undefined
        : { guesses, said: this.#said[bin]! / guesses, right: this.#right[bin]! / guesses },
    );
  }
}

function sum(values: Float64Array): number {
  return values.reduce((total, value) => total + value, 0);
}
