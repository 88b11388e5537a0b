/**
 * @file What asking a model brings in one text, compared with what it brings in others. Texts differ more than the steps of one: what nobody can
 * guess shows after a few questions, long before a mean over texts does.
 */

/** Tokens expected of questions that the guess of 1 counts as. */
const PRIOR = 1.5;
/** What a step's question still counts as one step later, asked or not. */
const MEMORY = 1 - 1 / 32;
/** The most that a text is thought to be better than others. */
const MOST = 1.5;

/** Of one text. */
export class TextLuck {
  #expected = 0;
  #gained = 0;

  /** A new text begins. */
  begin(): void {
    this.#expected = 0;
    this.#gained = 0;
  }

  /** Times what is expected, >= 0. */
  get value(): number {
    return Math.min(MOST, (this.#gained + PRIOR) / (this.#expected + PRIOR));
  }

  /** A step has begun. */
  fade(): void {
    this.#expected *= MEMORY;
    this.#gained *= MEMORY;
  }

  /** A step's questions, of which `expected` tokens were, brought `gained`. */
  observe(expected: number, gained: number): void {
    this.#expected += expected;
    this.#gained += Math.max(0, gained);
  }
}
