/** @file The structure's contract: a structure decides which of the drafters' answers become nodes of the tree. */

import type { Drafter, StepOutcome } from "../draft/drafter.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { StopRule } from "./stop/stop-rule.ts";

/** What one step may draft. */
export interface Budget {
  /** Nodes of the tree, root included, >= 1. */
  readonly nodes: number;
  /** Nodes on a path, root not included, >= 0. */
  readonly depth: number;
  /** Known when passes were measured. */
  readonly prices?: Prices | undefined;
}

/** What a step pays, in the tokens that the time would give otherwise. */
export interface Prices {
  /** For a millisecond. */
  readonly ms: number;
  /** For one more node in the target's pass. */
  readonly node: number;
}

/** Does not know which drafters it grows from. */
export interface Structure {
  /** For structures that grow level by level: it is told of texts and steps as drafters are. */
  readonly stop?: StopRule;
  /** A new text begins, or goes on with another turn, whose tokens are picked at `temperature`; 0: the likeliest. */
  begin?(temperature: number): void;
  /** Adds nodes to a tree that has only its root; drafter i marks its nodes with bit i of `sources`. */
  grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): void | Promise<void>;
  /** Whether the next draft asks drafter i, if there is one, or at least may. Default: yes. */
  asks?(drafter: number): boolean;
  /** Whether the latest draft was a trial, whose time tells nothing of others. Default: no. */
  readonly trial?: boolean;
  /** Learns from a verified step, grown or not; `ms`: by drafter, what the step took it to learn from. */
  observe?(outcome: StepOutcome, ms?: readonly number[]): void;
}
