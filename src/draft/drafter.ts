/**
 * @file The drafter's contract. A drafter answers one question: which tokens may follow these nodes, and how likely is
 * each? It can be wrong, slow or silent; it can never change the text.
 */

import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";

/** Candidates for one node, best first, no token twice. */
export interface Candidates {
  readonly tokens: readonly TokenId[];
  /** Probability of each token given the node, in [0, 1]; they need not sum to 1. */
  readonly probs: readonly number[];
}

/** What one step did: the record that flows back to whoever learns. */
export interface StepOutcome {
  readonly tree: DraftTree;
  readonly pass: Pass;
  /** The accepted path: node 0, then each accepted node. */
  readonly path: readonly NodeIndex[];
  /** The target's own token that ends the step. */
  readonly bonus: TokenId;
  /** Tokens in the cache before the step. */
  readonly position: number;
}

export interface Drafter {
  readonly name: string;
  /** A new text begins (or goes on with another turn): `tokens` is all of it so far, root included. */
  begin(tokens: readonly TokenId[]): void;
  /** At most `width` candidates for each of `nodes`; an empty list is a fine answer. */
  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] | Promise<Candidates[]>;
  /** Learns from a verified step. */
  observe(outcome: StepOutcome): void;
  /** Rows of the prompt, when this drafter learns from them: `want` of the prefill. */
  readonly promptTopK?: number;
  /** Learns from the prompt's rows: `tokens[i]` was read and `pass` row i tells what the target expected next. */
  observePrompt?(tokens: readonly TokenId[], pass: Pass): void;
}
