/** @file What questions to the model that drafts take: measured at a start or learnt, then running medians. */

/** Milliseconds of a step's first question, in which the model also reads what is new in the text, and of one behind it. */
export interface QuestionCosts {
  readonly first: number;
  readonly next: number;
}

/** Questions that decide. */
const MEMORY = 96;
/** Questions of whose times the least is taken, unless they were measured: code is cold. */
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

  /** Milliseconds of a step's first question; undefined until that is known. */
  get first(): number | undefined {
    return this.#first.known;
  }

  /** Milliseconds of another one; undefined until that is known. */
  get next(): number | undefined {
    return this.#next.known;
  }

  /** What both take by now; undefined until that is known. */
  get costs(): QuestionCosts | undefined {
    const { first, next } = this;
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

  constructor(measured?: number) {
    this.#value = measured ?? 0;
    this.#count = measured === undefined ? 0 : COLD;
  }

  get known(): number | undefined {
    return this.#count < COLD ? undefined : this.#value;
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
