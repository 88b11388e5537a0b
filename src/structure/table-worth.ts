/**
 * @file What a table has brought: the tokens expected of nodes that would not be drafted without it, and its time. On a small model even a table's time
 * counts. One that costs more than it brings is left out for a while, every time for longer, and tried again.
 */

import { towardsMedian } from "./question-times.ts";

/** Steps from which on a table is judged, and of every trial. */
const ENOUGH = 40;
/** Steps that decide. */
const MEMORY = 1 - 1 / 64;
/** Steps that a table is left out for, at first and at most. */
const FIRST_NAP = 256;
const LONGEST_NAP = 8192;

/** Of one table, for all texts of a method. */
export class TableWorth {
  #steps = 0;
  #tokens = 0;
  #ms = 0;
  #nap = FIRST_NAP;
  /** Steps that it is still left out for. */
  #left = 0;
  /** Tokens that a trial has lost, and may lose for each step of the nap before it. */
  #lost = 0;
  #mayLose = Number.POSITIVE_INFINITY;
  /** Steps of that nap. */
  #slept = 1;

  /** One that is left out for the first `steps` steps. A trial of it ends early when it has lost `mayLose` tokens for every step before it. */
  static resting(steps: number, mayLose: number): TableWorth {
    const worth = new TableWorth();
    worth.#nap = steps;
    worth.#mayLose = mayLose;
    worth.#rest();
    return worth;
  }

  /** Whether the next draft asks it. */
  get asked(): boolean {
    return this.#left === 0;
  }

  /** Whether it is asked, but not known to pay. */
  get trial(): boolean {
    return this.asked && this.#steps < ENOUGH;
  }

  /** A step has begun without it. */
  pass(): void {
    if (this.#left > 0 && --this.#left === 0) this.#steps = this.#lost = 0;
  }

  /** It took `ms` for a step that it alone was worth `tokens`, where a millisecond is worth `price` tokens. */
  observe(tokens: number, ms: number, price: number): void {
    this.#steps++;
    this.#tokens += Math.max(1 - MEMORY, 1 / this.#steps) * (tokens - this.#tokens);
    this.#ms = towardsMedian(this.#ms, ms, Math.min(ENOUGH, this.#steps));
    if (this.#steps < ENOUGH) {
      this.#lost += price * ms - tokens;
      if (this.#lost > this.#mayLose * this.#slept) this.#rest();
    } else if (this.#tokens < price * this.#ms) this.#rest();
    else this.#nap = FIRST_NAP;
  }

  #rest(): void {
    this.#left = this.#slept = this.#nap;
    this.#nap = Math.min(LONGEST_NAP, 2 * this.#nap);
  }
}
