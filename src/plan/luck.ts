/**
 * @file How much of what a text's drafts gave was luck. What one step gives says little of the next, and what is expected of its tree is right in the mean of
 * most texts, but in some it is wrong for good. So what came besides what was expected is taken for luck in the first steps, and for the truth about the text when
 * it goes on: the mean of a normal prior, of what expectations may be wrong by, after so many steps.
 */

/** The variance of what is expected of a text's steps around what they give in the mean, in tokens. */
const WRONG = 0.16;

export class Luck {
  readonly #memory: number;
  /** Of the latest steps: their number, what came besides what was expected, and its variance, which is nearly what is expected of their drafts. */
  #steps = 0;
  #more = 0;
  #variance = 0;

  /** Steps count `memory` times less with each that follows. */
  constructor(memory: number) {
    this.#memory = memory;
  }

  /** A step gave `tokens` tokens, of which `expected` were expected, the target's own among both. */
  add(tokens: number, expected: number): void {
    this.#steps = this.#steps * this.#memory + 1;
    this.#more = this.#more * this.#memory + tokens - expected;
    this.#variance = this.#variance * this.#memory + Math.max(0, expected - 1);
  }

  /** Tokens that were luck. */
  get tokens(): number {
    const noise = this.#variance / Math.max(1, this.#steps);
    return noise === 0 ? 0 : (this.#more * noise) / (noise + WRONG * this.#steps);
  }
}
