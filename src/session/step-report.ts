/** @file What one step did, for whoever asks to see every step: a copy that may be kept, as tables of plain values. */

import type { NodeIndex, Position, TokenId } from "../types.ts";
import type { Step } from "./step.ts";

/** One step of a generation. The lists by node begin with the root, node 0, and have the same length. */
export interface StepReport {
  /** Place of the root's token in the text, prompt included: tokens in the cache before the step. */
  readonly position: Position;
  /** Whether anything was to be drafted. A drafted step may still have found nothing worth a node. */
  readonly kind: "drafted" | "plain";
  /** Done to find out what it is worth, although something else seems better. */
  readonly trial: boolean;
  /** Why the planner drafts nothing at present, such as "off: drafts gave 0.93 tokens in the time of a plain one"; else null. */
  readonly off: string | null;
  /** Tokens that a node had to be expected to give, to be worth its part of the pass; null where no plan decides. */
  readonly nodePrice: number | null;
  /** Nodes that were drafted, root included, before the tree was cut to those worth their price. */
  readonly grown: number;
  readonly tokens: readonly TokenId[];
  /** Parent of each node, a smaller number than its own; -1 for the root. */
  readonly parents: readonly NodeIndex[];
  /** Estimated probability that the target picks the node at its parent, in [0, 1]; 1 for the root. */
  readonly probs: readonly number[];
  /** Product of `probs` from the root to the node; the sum over all nodes is the number of tokens that was expected of the step. */
  readonly values: readonly number[];
  /** Names of those that proposed the node; none for the root. */
  readonly drafters: readonly (readonly string[])[];
  /** The accepted path: node 0, then each accepted node. */
  readonly path: readonly NodeIndex[];
  /** The target's own token behind the path. The step gave `path.length` tokens, fewer when the text ended inside of it. */
  readonly bonus: TokenId;
  /** Wall time of the step in milliseconds. */
  readonly ms: number;
  /** Part of it spent waiting for the target's pass. */
  readonly passMs: number;
  /** Part of it spent on the draft: growing the tree, passes of draft models, learning. */
  readonly draftMs: number;
  /** Part of draftMs spent inside drafters, passes of draft models among it. The rest of draftMs puts the tree together. */
  readonly drafterMs: number;
}

/** Copies what outlives the step. `namesOf` tells the drafters of a bit set. */
export function reportOf(
  step: Step,
  times: { readonly ms: number; readonly drafterMs: number },
  namesOf: (sources: number) => readonly string[],
): StepReport {
  const { tree, turn, path, bonus, position, kind, off, grown, passMs, draftMs } = step;
  const { size } = tree;
  return {
    position,
    kind,
    trial: turn?.trial ?? false,
    off,
    nodePrice: turn?.prices.node ?? null,
    grown,
    tokens: Array.from(tree.tokens.subarray(0, size)),
    parents: Array.from(tree.parents.subarray(0, size)),
    probs: Array.from(tree.probs.subarray(0, size)),
    values: Array.from(tree.values.subarray(0, size)),
    drafters: Array.from(tree.sources.subarray(0, size), (sources, node) =>
      node === 0 ? [] : namesOf(sources),
    ),
    path: [...path],
    bonus,
    ms: times.ms,
    passMs,
    draftMs,
    drafterMs: times.drafterMs,
  };
}
