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
  /** By drafter, milliseconds that the latest step took to learn from. */
  readonly #ms: number[];
  /** Whether nothing is drafted. */
  #resting = false;

  constructor(drafters: readonly Drafter[], structure: Structure) {
    this.#drafters = drafters;
    this.#structure = structure;
    this.#behind = drafters.map(() => false);
    this.#ms = drafters.map(() => 0);
  }

  /** Says whether drafts are given up for now: before a prompt is read, and before each step. */
  rest(resting: boolean): void {
    this.#resting = resting;
    for (const [i, drafter] of this.#drafters.entries()) drafter.rest?.(!this.#takesPart(i));
  }

  /** Drafters that a draft will ask read what they have missed of `tokens`, the text so far, root included. */
  async gather(tokens: readonly TokenId[]): Promise<void> {
    for (const [i, drafter] of this.#drafters.entries()) {
      if (!this.#behind[i] || !this.#takesPart(i)) continue;
      await drafter.begin(tokens);
      this.#behind[i] = false;
    }
  }

  /** Structure and drafters learn from a step; of those that do not take part, only drafters that must see every one. */
  async observe(outcome: StepOutcome): Promise<void> {
    for (const [i, drafter] of this.#drafters.entries()) {
      if (drafter.mayMiss && (this.#behind[i] || !this.#takesPart(i))) {
        this.#behind[i] = true;
        continue;
      }
      const start = performance.now();
      const learnt = drafter.observe(outcome);
      if (learnt) await learnt;
      this.#ms[i] = performance.now() - start;
    }
    this.#structure.stop?.observe?.(outcome);
    this.#structure.observe?.(outcome, this.#ms);
  }

  #takesPart(drafter: number): boolean {
    return !this.#resting && this.#structure.asks?.(drafter) !== false;
  }
}
