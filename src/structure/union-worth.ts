/**
 * @file Whether tables pay beside a model that drafts chains, by whole steps: the tokens expected of a draft, and the time from its first question to the
 * end of learning, pass included. Where passes are long they do, and each table is judged by itself. Where they are short the chain alone comes
 * first, and the union of all is tried in a few steps, which end when they have lost enough.
 */

import { towardsMedian } from "./question-times.ts";
import { TableWorth } from "./table-worth.ts";

/** What a union brings more than a chain, and takes in warm code, until that is known. */
const GUESS = { tokens: 0.25, ms: 0.4 };
/** Steps before the first trial: its code is cold, and takes as much as ten of them. */
const FIRST = 1024;
/** Tokens that a trial may lose for every step before it. */
const MAY_LOSE = 1 / 64;
/** Steps that decide. */
const MEMORY = 64;
/** A union takes at least so much more than a chain. */
const LEAST_MS = 0.001;

/** For all texts of a method. */
export class UnionWorth {
  readonly #trials = TableWorth.resting(FIRST, MAY_LOSE);
  /** Of steps with a chain alone. */
  readonly #chain = { steps: 0, tokens: 0, ms: 0 };
  /** Whether time is worth so much that a union has to show its worth; so until a step has said what it is worth. */
  #dear = true;

  /** Whether the next draft is a union. */
  get asked(): boolean {
    return !this.#dear || this.#trials.asked;
  }

  /** Whether that is to be found out yet. */
  get trial(): boolean {
    return this.#dear && this.#trials.trial;
  }

  /** A step with a chain took `ms`, of which `tokens` were expected, where a millisecond is worth `price` tokens. */
  chain(tokens: number, ms: number, price: number): void {
    this.#weigh(price);
    const chain = this.#chain;
    chain.steps = Math.min(MEMORY, chain.steps + 1);
    chain.tokens += (tokens - chain.tokens) / chain.steps;
    chain.ms = towardsMedian(chain.ms, ms, chain.steps);
    this.#trials.pass();
  }

  /** The same of a union. */
  union(tokens: number, ms: number, price: number): void {
    const known = this.#dear && this.#trials.asked;
    this.#weigh(price);
    const more = Math.max(LEAST_MS, ms - this.#chain.ms);
    if (known) this.#trials.observe(tokens - this.#chain.tokens, more, price);
  }

  #weigh(price: number): void {
    this.#dear = price * GUESS.ms > GUESS.tokens;
  }
}
