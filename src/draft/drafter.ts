/**
 * @file The drafter's contract. A drafter answers one question: which tokens may follow these nodes, and how likely is
 * each? It can be wrong, slow or silent; it can never change the text.
 */

import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import type { Coupling } from "./coupling.ts";
import type { PenaltyForecast } from "./penalties.ts";

/** Candidates for one node, best first, no token twice. */
export interface Candidates {
  readonly tokens: readonly TokenId[];
  /** Probability that the target picks each token at the node, in [0, 1]; they need not sum to 1. */
  readonly probs: readonly number[];
}

/** How far the asker follows a chain of first candidates: so many levels at most, and while the next is expected to add more than `worth`. */
export interface Outlook {
  readonly levels: number;
  /** In what the node that is asked about is worth; see ChainAhead in target/target.ts. */
  readonly worth: number;
}

/** What one step did: the record that flows back to whoever learns. Valid until the next step starts. */
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

/** Guesses the continuation of one text. One that holds memory outside JavaScript has a dispose method. */
export interface Drafter extends Partial<AsyncDisposable> {
  readonly name: string;
  /** The most likely tokens it learns from in every row of a pass, and in every row of the prompt; 0 for none. */
  readonly rows: { readonly pass: number; readonly prompt: number };
  /** The target's layers whose hidden states it reads in every row, of passes and of the prompt (0: the embedding). Default: none. */
  readonly taps?: readonly number[];
  /** Whether it need not see every step: before it is asked again, {@link Drafter.begin} tells it all of the text. Default: no. */
  readonly mayMiss?: boolean;
  /** Whether it need not see the steps of a text in which nothing is drafted, though it must see those in which others are asked; as above. Default: no. */
  readonly mayRest?: boolean;
  /** Whether it could say `token` at all. Default: any. */
  names?(token: TokenId): boolean;
  /** Why it guessed nothing in the latest step, for people; undefined when it was willing to. */
  readonly off?: string | undefined;
  /** What the answers of the latest step took that were there before they were asked for; undefined where there were none. */
  readonly ahead?: { readonly questions: number; readonly ms: number } | undefined;
  /** Passes of a model of its own, so far; tables make none. */
  readonly passes?: number;
  /** Makes what it drafts with ready, if it is not; awaited before all that follows. */
  load?(): Promise<void>;
  /**
   * Called before the target reads the prompt `tokens`, root included, of which it has the first `cached`: of how many of its first tokens no row
   * is needed. Those the target need not read again; it does read the others. Default: all.
   */
  resume?(tokens: readonly TokenId[], cached: number): number;
  /** A new text begins (or goes on with another turn): `tokens` is all of it so far, root included. The target has read the others. */
  begin(tokens: readonly TokenId[], signal?: AbortSignal): void | Promise<void>;
  /**
   * Before a text begins or goes on: the noise that its tokens are picked with, undefined where the likeliest are, and its penalties, where it has some. Both
   * are told of every step.
   */
  couple?(coupling: Coupling | undefined, penalties?: PenaltyForecast): void;
  /**
   * At most `width` candidates for each of `nodes`; an empty list is a fine answer. They are valid until it is asked again or told of a step: tables
   * write each answer over the one before. `outlook`: the asker means to ask about the first candidate of its one node next, and so on; whoever answers
   * several such questions in less time together may do so now.
   */
  expand(
    tree: DraftTree,
    nodes: readonly NodeIndex[],
    width: number,
    outlook?: Outlook,
  ): Candidates[] | Promise<Candidates[]>;
  /** Whether nobody is going to ask for a while, so that it may put off what only answers need, and forget. Default: it need not know. */
  rest?(resting: boolean): void;
  /** Learns from a verified step; the next one waits for a promise. */
  observe(outcome: StepOutcome): void | Promise<void>;
  /**
   * Learns from prompt rows: `tokens[i]` was read at `position + i`, and row i of `pass` tells what the target expected next. The target
   * reads on when a promise has settled.
   */
  observePrompt?(tokens: readonly TokenId[], pass: Pass, position: Position): void | Promise<void>;
}

/** The token that the target picked at `path[i]`: the next one on the path, or the bonus token. */
export function pickedAt(outcome: StepOutcome, i: number): TokenId {
  const next = outcome.path[i + 1];
  return next === undefined ? outcome.bonus : outcome.tree.tokens[next]!;
}
