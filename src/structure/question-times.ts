/** @file What questions to the model that drafts take: measured at a start or learnt, then running medians. */

/** Milliseconds of a step's first question, in which the model also reads what is new in the text, and of one behind it. */
export interface QuestionCosts {
  readonly first: number;
  readonly next: number;
}

/** Questions that decide. */
const MEMORY = 96;
/** Questions of whose times, and of what was measured, the least is taken: code is cold, and a start may have been held up by other programs. */
const COLD = 12;

/** Of one model, for all that ask it. */
export class QuestionTimes {
  readonly #first: Median;
  readonly #next: Median;

  /** Throws RangeError when a measured time is not above 0. */
  constructor(measured?: QuestionCosts) {
    for (const [name, ms] of Object.entries(measured ?? {})) {
      if (!(ms > 0 && ms < Infinity))
        throw new RangeError(`questionCosts: ${name} is ${ms}; give milliseconds above 0`);
    }
    this.#first = new Median(measured?.first);
    this.#next = new Median(measured?.next);
  }

  /** Milliseconds of a step's first question; undefined until one, or where nothing was measured some, have shown it. */
  get first(): number | undefined {
    return this.#first.shown;
  }

  /** Milliseconds of another one; undefined until one or some have shown it. */
  get next(): number | undefined {
    return this.#next.shown;
  }

  /** What both take by all that is known; undefined until that is anything. */
  get costs(): QuestionCosts | undefined {
    const [first, next] = [this.#first.known, this.#next.known];
    return first !== undefined && next !== undefined ? { first, next } : undefined;
  }

  /** A question, `level` questions after the first of its step, took `ms` milliseconds. */
  observe(level: number, ms: number): void {
    (level === 0 ? this.#first : this.#next).add(ms);
  }
}

class Median {
  #value: number;
  #count: number;
  readonly #measured: boolean;

  constructor(measured?: number) {
    this.#value = measured ?? 0;
    this.#measured = measured !== undefined;
    this.#count = this.#measured ? 1 : 0;
  }

  get known(): number | undefined {
    return this.#measured || this.#count >= COLD ? this.#value : undefined;
  }

  get shown(): number | undefined {
    return this.#count >= (this.#measured ? 2 : COLD) ? this.#value : undefined;
  }

  add(ms: number): void {
    this.#count = Math.min(MEMORY, this.#count + 1);
    this.#value = towardsMedian(this.#value, ms, this.#count);
  }
}

/** `median` after sample `count` (from 1), which is `sample` > 0; the slow first calls of cold code hardly move it. */
export function towardsMedian(median: number, sample: number, count: number): number {
  if (count === 1) return sample;
  if (count <= COLD) return Math.min(sample, median);
  const factor = 1 + 1 / (1 + count / 3);
  return sample > median ? Math.min(sample, median * factor) : Math.max(sample, median / factor);
}
