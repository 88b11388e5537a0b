/**
 * @file What asking a model has brought: tokens that its questions added to a draft, and their time. A model is asked where that is more than
 * the time would give otherwise, and now and then where it is not, since what is never tried is never known better.
 */

import type { Memory, Numbers } from "../draft/learnt.ts";
import { QuestionTimes } from "./question-times.ts";

/** Observations of one kind that decide. */
const MEMORY = 96;
/** Tokens that asking in a step brings until that is known, by how it ends: a hope, so that nobody gives up over a few bad answers; what it counts as. */
const HOPE = { gain: 1.2, questions: 2, count: 6 };
/** Tokens a step that trials may lose, and the most that is saved up for them. */
const TRIALS = 1 / 400;
const SAVED = 1;
/** The most that a trial is expected to lose; in one, a model reads what it has missed. */
const MOST_LOST = SAVED / 2;
/** Tokens expected of a draft before a model is asked, that are told apart. */
const BOUNDS = [0, 0.15, 0.35, 0.6, 1, 1.5, 2.2, 3.2, 5];
/**
 * Tokens that a question brings for each that is expected behind the nodes it asks about and nobody has named, until many were asked; what that
 * counts as.
 */
const PRIOR = 0.6;
const PRIOR_COUNT = 12;
/** Steps without a question behind which none is expected soon. */
const IDLE = 128;
/** Levels that are told apart. */
const LEVELS = 8;

/** A value and a count, at `at` of numbers that may be kept. */
class Estimate {
  readonly #values: Float64Array;
  readonly #at: number;

  constructor(values: Float64Array, at: number, value: number, count: number) {
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

  /** Moves the value, a mean that fades, towards `value`. */
  add(value: number): void {
    const count = Math.min(MEMORY, this.count + 1);
    this.#values[this.#at] = this.value + (value - this.value) / count;
    this.#values[this.#at + 1] = count;
  }
}

/** Of one model, for all texts of a method. */
export class Yields implements Memory {
  /** Estimates, each a value and a count. */
  readonly values = new Float64Array(2 * (2 * BOUNDS.length + 2 * LEVELS));
  #next = 0;
  /** Of a step, by what its draft was worth before: tokens gained, and questions asked. */
  readonly #gains = BOUNDS.map(() => this.#estimate(HOPE.gain, HOPE.count));
  readonly #questions = BOUNDS.map(() => this.#estimate(HOPE.questions, HOPE.count));
  /** By level below the first: tokens gained, and what was expected behind the nodes asked about. */
  readonly #levels = Array.from({ length: LEVELS }, () => ({
    gain: this.#estimate(PRIOR, PRIOR_COUNT),
    value: this.#estimate(1, PRIOR_COUNT),
  }));
  readonly #times: QuestionTimes;
  #credit = 0;
  /** Steps since the latest question. */
  #unasked = 0;

  /** `times`: what questions take, which others may ask, too. Until they are known, all are asked. */
  constructor(times = new QuestionTimes()) {
    this.#times = times;
  }

  /** Whether the model has not been asked for long. */
  get idle(): boolean {
    return this.#unasked >= IDLE;
  }

  /** What asking in a step has brought whose draft was worth `tokens`, in tokens. */
  gain(tokens: number): number {
    return this.#gains[kindOf(tokens)]!.value;
  }

  /**
   * Whether to ask in a step whose draft so far is worth `tokens`, where a millisecond is worth `price` tokens, in a text where asking brings `luck`
   * times what it brings elsewhere.
   */
  asks(tokens: number, price: number, luck = 1): boolean {
    const asks = this.#tries(tokens, price, luck);
    this.#unasked = asks ? 0 : this.#unasked + 1;
    return asks;
  }

  /** A step whose draft was worth `tokens` before was worth `gain` more after `questions` questions. */
  observe(tokens: number, gain: number, questions: number): void {
    const kind = kindOf(tokens);
    this.#gains[kind]!.add(gain);
    this.#questions[kind]!.add(questions);
  }

  /** Whether to ask once more, about nodes of which `value` tokens are expected, `level` questions after the first. */
  goesOn(level: number, value: number, price: number): boolean {
    const { next } = this.#times;
    if (next === undefined) return true;
    const known = this.#levels[Math.min(level, LEVELS) - 1]!;
    return this.#pays((known.gain.value / known.value.value) * value, price * next);
  }

  /** A question, `level` questions after the first, took `ms` milliseconds; of a later one, what it was about and brought. */
  observeQuestion(level: number, value: number, gain: number, ms: number): void {
    this.#times.observe(level, ms);
    if (level === 0) return;
    const known = this.#levels[Math.min(level, LEVELS) - 1]!;
    known.gain.add(gain);
    known.value.add(value);
  }

  accepts(values: Numbers): boolean {
    const all = Array.from(values, Number);
    return all.every(
      (value, i) => Number.isFinite(value) && (i % 2 === 0 || (value >= 0 && value <= MEMORY)),
    );
  }

  #tries(tokens: number, price: number, luck: number): boolean {
    const kind = kindOf(tokens);
    const [gain, questions] = [this.#gains[kind]!, this.#questions[kind]!];
    this.#credit = Math.min(SAVED, this.#credit + TRIALS);
    const { first, costs } = this.#times;
    if (first === undefined) return true;
    return this.#pays(luck * gain.value, price * (first + (questions.value - 1) * (costs?.next ?? 0)));
  }

  #estimate(value: number, count: number): Estimate {
    const at = this.#next;
    this.#next += 2;
    return new Estimate(this.values, at, value, count);
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
