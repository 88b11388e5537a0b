/** @file The stop rule's contract: it says before every level whether drafting goes on. Rules combine. */

import type { Outlook, StepOutcome } from "../../draft/drafter.ts";
import type { TokenId } from "../../types.ts";

/** How far the draft of a step has come. */
export interface Progress {
  /** Levels below the root that are there; 0 before the first question. */
  readonly levels: number;
  /** Value of the best node that would be asked about, 1 for the root: of a chain, the product of its probabilities. */
  readonly best: number;
  /** Tokens that the newest level added to those expected of the tree; 1 for the root. */
  readonly gain: number;
  /** The gain expected of the next level: to the newest one's what that is to the one's before. Infinity before the first question. */
  readonly next: number;
  /** What the next question and one more node cost, in tokens that the time would give otherwise; 0 while nothing is measured. */
  readonly price: number;
}

export interface StopRule {
  /** The target's layers whose hidden states it reads in the rows of a pass, 0 the embedding. Default: none. */
  readonly taps?: readonly number[];
  /** Makes what it decides with ready, if it is not; awaited before all that follows. */
  load?(): Promise<void>;
  /** A new text begins, or goes on with another turn: `tokens` is all of it so far, root included. */
  begin?(tokens: readonly TokenId[]): void;
  /** Whether another level is to be asked for. */
  continue(progress: Progress): boolean;
  /**
   * How far it is going to let a chain grow where a question and a node cost `price`, `levels` below the root; undefined where it cannot say so before. Default:
   * it cannot.
   */
  reach?(price: number): Outlook | undefined;
  /** Learns from a verified step. */
  observe?(outcome: StepOutcome): void;
}

/** Stops as soon as one of the rules does. */
export function any(...rules: readonly StopRule[]): StopRule {
  return {
    ...combined(rules, (progress) => rules.every((rule) => rule.continue(progress))),
    reach(price) {
      let [levels, worth] = [Number.POSITIVE_INFINITY, 0];
      for (const rule of rules) {
        const reach = rule.reach?.(price);
        if (!reach) return undefined;
        levels = Math.min(levels, reach.levels);
        worth = Math.max(worth, reach.worth);
      }
      return { levels, worth };
    },
  };
}

/** Stops when all of the rules do: with AdaEAGLE's two, the longer of their drafts (arXiv:2412.18910, section 4.2). */
export function all(...rules: readonly StopRule[]): StopRule {
  return combined(rules, (progress) => rules.some((rule) => rule.continue(progress)));
}

function combined(rules: readonly StopRule[], proceed: StopRule["continue"]): StopRule {
  return {
    taps: [...new Set(rules.flatMap(({ taps = [] }) => taps))],
    async load() {
      for (const rule of rules) await rule.load?.();
    },
    begin(tokens) {
      for (const rule of rules) rule.begin?.(tokens);
    },
    continue: proceed,
    observe(outcome) {
      for (const rule of rules) rule.observe?.(outcome);
    },
  };
}
