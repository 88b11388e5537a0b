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
/** What a row costs over what a node is worth: from each of these on, questions about such nodes are a kind of their own. */
const ROWS = [0, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8];
/**
 * By kind, tokens that a question brings beyond their rows, for each that its node is worth, until many were asked; what that counts as. A child is worth less
 * than its parent: below one that is hardly worth its row, few are worth theirs.
 */
const BROUGHT = [0.55, 0.45, 0.42, 0.32, 0.21, 0.13, 0.07, 0.02];
const BROUGHT_COUNT = 12;
/** The least that a kind is thought to bring: none is written off for good. */
const LEAST = 0.001;
/** Where children in the tree have this part of a node's worth, questions are another kind: they tell whether those are right, too. */
const NAMED = 0.5;
/** One more node in a question takes this part of the time of a question about one. */
const ROW_MS = 1 / 6;
/** Steps without a question behind which none is expected soon. */
const IDLE = 128;

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

/** What one text is about to ask behind the first question of a step: the kinds of its nodes, and the tokens that it is expected to bring. Filled by {@link Yields.about}. */
export class Question {
  readonly kinds: number[] = [];
  expected = 0;

  /** Another one begins. */
  clear(): void {
    this.kinds.length = 0;
    this.expected = 0;
  }
}

/** Of one model, for all texts of a method. */
export class Yields implements Memory {
  /** Estimates, each a value and a count. */
  readonly values = new Float64Array(2 * (2 * BOUNDS.length + 2 * ROWS.length));
  #next = 0;
  /** Of a step, by what its draft was worth before: tokens gained, and questions asked. */
  readonly #gains = BOUNDS.map(() => this.#estimate(HOPE.gain, HOPE.count));
  readonly #questions = BOUNDS.map(() => this.#estimate(HOPE.questions, HOPE.count));
  /** By kind of node that is asked about: tokens gained for each that it is worth. First of nodes with few children in the tree, then of others. */
  readonly #brought = [...BROUGHT, ...BROUGHT].map((value) => this.#estimate(value, BROUGHT_COUNT));
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

  /**
   * Whether to ask about a node together with those that are in `question`, where it is then. It is worth `value` tokens, of which its children in the tree
   * have `named`; a row costs `row` >= 0 tokens, and a millisecond is worth `price`. The first node is taken always.
   */
  about(question: Question, value: number, named: number, row: number, price: number): boolean {
    const at = ROWS.findLastIndex((least) => least * value <= row);
    const kind = named < NAMED * value ? at : ROWS.length + at;
    const gain = this.#bringing(kind) * value;
    if (question.kinds.length > 0 && gain < price * ROW_MS * (this.#times.next ?? 0)) return false;
    question.kinds.push(kind);
    question.expected += gain;
    return true;
  }

  /** Whether to ask it, where a millisecond is worth `price` tokens. */
  goesOn({ expected }: Question, price: number): boolean {
    const { next } = this.#times;
    return next === undefined || this.#pays(expected, price * next);
  }

  /** The first question of a step took `ms` milliseconds. */
  observeFirst(ms: number): void {
    this.#times.observe(0, ms);
  }

  /** Another question took `ms` milliseconds and brought `gain` >= 0 tokens: each of its nodes as it was expected to. */
  observeNext({ kinds, expected }: Question, gain: number, ms: number): void {
    this.#times.observe(1, ms);
    // By what was expected before any of it is learnt.
    const brought = kinds.map((kind) => (this.#bringing(kind) * gain) / expected);
    for (const [i, kind] of kinds.entries()) this.#brought[kind]!.add(brought[i]!);
  }

  accepts(values: Numbers): boolean {
    const all = Array.from(values, Number);
    return all.every(
      (value, i) => Number.isFinite(value) && (i % 2 === 0 || (value >= 0 && value <= MEMORY)),
    );
  }

  #bringing(kind: number): number {
    return Math.max(LEAST, this.#brought[kind]!.value);
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
