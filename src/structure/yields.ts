/**
 * @file What asking a model has brought: tokens that its questions added to a draft, and their time. A model is asked where that is more than
 * the time would give otherwise, and now and then where it is not, since what is never tried is never known better.
 */

import type { Memory, Numbers } from "../draft/learnt.ts";

/** Observations of one kind that decide. */
const MEMORY = 96;
/** Steps of a kind in which a model is asked whatever it brings, before that is known. */
const FIRST = 3;
/** Tokens a step that trials may lose, and the most that is saved up for them. */
const TRIALS = 1 / 400;
const SAVED = 1;
/** The most that a trial is expected to lose; in one, a model reads what it has missed. */
const MOST_LOST = SAVED / 2;

/** A mean that fades: its value and its count, at `at` and behind it. */
class Mean {
  readonly #values: Float64Array;
  readonly #at: number;

  constructor(values: Float64Array, at: number, value = 0, count = 0) {
    this.#values = values;
    this.#at = at;
    values[at] = value;
    values[at + 1] = count;
  }

  get value(): number {
    return this.#values[this.#at]!;
  }

  get count(): number {
    return this.#values[this.#at + 1]!;
  }

  add(value: number): void {
    const count = Math.min(MEMORY, this.count + 1);
    this.#values[this.#at] = this.value + (value - this.value) / count;
    this.#values[this.#at + 1] = count;
  }
}

/** Tokens expected of a draft before a model is asked, that are told apart. */
const BOUNDS = [0, 0.15, 0.35, 0.6, 1, 1.5, 2.2, 3.2, 5];
/** Tokens that a question brings for each that is expected behind the nodes it asks about and nobody has named, until many were asked; what that counts as. */
const PRIOR = 0.6;
const PRIOR_COUNT = 12;
/** Levels that are told apart. */
const LEVELS = 8;

/** Of one model, for all texts of a method. */
export class Yields implements Memory {
  /** Means, each a value and a count. */
  readonly values = new Float64Array(2 * (2 * BOUNDS.length + 2 * LEVELS + 1));
  #next = 0;
  readonly #gains = BOUNDS.map(() => this.#mean());
  readonly #times = BOUNDS.map(() => this.#mean());
  /** By level below the first: tokens gained, and what was expected behind the nodes asked about. */
  readonly #levels = Array.from({ length: LEVELS }, () => ({
    gain: this.#mean(PRIOR, PRIOR_COUNT),
    value: this.#mean(1, PRIOR_COUNT),
  }));
  readonly #question = this.#mean();
  #credit = 0;

  /** Whether to ask in a step whose draft so far is worth `tokens`, where a millisecond is worth `price` tokens. */
  asks(tokens: number, price: number): boolean {
    const kind = kindOf(tokens);
    const [gain, time] = [this.#gains[kind]!, this.#times[kind]!];
    this.#credit = Math.min(SAVED, this.#credit + TRIALS);
    if (gain.count < FIRST) return true;
    return this.#pays(gain.value, price * time.value);
  }

  /** A step whose draft was worth `tokens` before was worth `gain` more after `ms` milliseconds of questions. */
  observe(tokens: number, gain: number, ms: number): void {
    const kind = kindOf(tokens);
    this.#gains[kind]!.add(gain);
    this.#times[kind]!.add(ms);
  }

  /** Whether to ask once more, about nodes of which `value` tokens are expected, `level` questions after the first. */
  goesOn(level: number, value: number, price: number): boolean {
    const known = this.#levels[Math.min(level, LEVELS) - 1]!;
    return this.#pays((known.gain.value / known.value.value) * value, price * this.#question.value);
  }

  observeLevel(level: number, value: number, gain: number, ms: number): void {
    const known = this.#levels[Math.min(level, LEVELS) - 1]!;
    known.gain.add(gain);
    known.value.add(value);
    this.#question.add(ms);
  }

  accepts(values: Numbers): boolean {
    const all = Array.from(values, Number);
    return all.every(
      (value, i) => Number.isFinite(value) && (i % 2 === 0 || (value >= 0 && value <= MEMORY)),
    );
  }

  #mean(value?: number, count?: number): Mean {
    const at = this.#next;
    this.#next += 2;
    return new Mean(this.values, at, value, count);
  }

  /** Whether `gain` is more than `cost`, or there is a trial. */
  #pays(gain: number, cost: number): boolean {
    if (gain > cost) return true;
    const loss = Math.min(MOST_LOST, cost - gain);
    if (loss > this.#credit) return false;
    this.#credit -= loss;
    return true;
  }
}

function kindOf(tokens: number): number {
  return BOUNDS.findLastIndex((least) => least <= tokens);
}
