/**
 * @file Who takes part in a step. While nothing is drafted, or a structure does without a drafter for a while, those that may miss steps
 * do not learn from them, so that their time is saved as well; before they are asked again they read what they have missed.
 */

import type { Drafter, StepOutcome } from "../draft/drafter.ts";
import type { Structure } from "../structure/structure.ts";
import type { TokenId } from "../types.ts";

export class Attendance {
  readonly #drafters: readonly Drafter[];
  readonly #structure: Structure;
  readonly #behind: boolean[];
  /** Who misses what happens now: decided when it begins, asked often. */
  readonly #missing: boolean[];
  #bare = false;
  /** By drafter, milliseconds that the latest step took to learn from. */
  readonly #ms: number[];
  /** Whether nothing is drafted. */
  #resting = false;

  constructor(drafters: readonly Drafter[], structure: Structure) {
    this.#drafters = drafters;
    this.#structure = structure;
    this.#behind = drafters.map(() => false);
    this.#missing = drafters.map(() => false);
    this.#ms = drafters.map(() => 0);
  }

  /** Says whether drafts are given up for now: before a prompt is read, and before each step. */
  rest(resting: boolean): void {
    if (resting && this.#resting) return;
    this.#resting = resting;
    this.#bare = true;
    for (let i = 0; i < this.#drafters.length; i++) {
      const drafter = this.#drafters[i]!;
      const takesPart = !resting && this.#structure.asks?.(i) !== false;
      this.#missing[i] = drafter.mayMiss ? !takesPart : drafter.mayRest === true && resting;
      if (drafter.mayMiss && takesPart) this.#bare = false;
      drafter.rest?.(!takesPart);
    }
  }

  /** Those that are going to be asked, and those that must see everything. */
  get attending(): Drafter[] {
    return this.#drafters.filter((_, i) => !this.#missing[i]);
  }

  /** Whether none of those that may miss steps sees this one. */
  get bare(): boolean {
    return this.#bare;
  }

  /** A text begins, as in {@link Drafter.begin}: those that do not take part read it when they are asked. */
  async begin(tokens: readonly TokenId[], signal?: AbortSignal): Promise<void> {
    for (const [i, drafter] of this.#drafters.entries()) {
      this.#behind[i] = this.#missing[i]!;
      if (!this.#behind[i]) await drafter.begin(tokens, signal);
    }
  }

  /** Drafters that a draft will ask read what they have missed of `tokens`, the text so far, root included. */
  async gather(tokens: readonly TokenId[]): Promise<void> {
    for (let i = 0; i < this.#drafters.length; i++) {
      if (!this.#behind[i] || this.#missing[i]) continue;
      await this.#drafters[i]!.begin(tokens);
      this.#behind[i] = false;
    }
  }

  /** Structure and drafters learn from a step; of those that do not take part, only drafters that must see every one. */
  observe(outcome: StepOutcome): void | Promise<void> {
    return this.#observe(outcome, 0);
  }

  /** From drafter `first` on. Only a promise is waited for: on a small model a turn of the event loop counts. */
  #observe(outcome: StepOutcome, first: number): void | Promise<void> {
    for (let i = first; i < this.#drafters.length; i++) {
      const drafter = this.#drafters[i]!;
      if (this.#behind[i] || this.#missing[i]) {
        this.#behind[i] = true;
        continue;
      }
      const start = performance.now();
      const learnt = drafter.observe(outcome);
      if (learnt) {
        return learnt.then(() => {
          this.#ms[i] = performance.now() - start;
          return this.#observe(outcome, i + 1);
        });
      }
      this.#ms[i] = performance.now() - start;
    }
    this.#structure.stop?.observe?.(outcome);
    this.#structure.observe?.(outcome, this.#ms);
  }
}
