/**
 * @file The target's contract. A pass is a pure function of the committed cache and the tree: it gives one row per
 * node, and every row has the bits it would have had in plain decoding, whatever else is in the batch.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import type { Company } from "./company.ts";
import type { PenaltyRule } from "./penalties.ts";
import type { PickRule } from "./pick.ts";

/** How the next token of a text is picked, as far as a pass does it; each text of a shared pass has its own. */
export interface OwnWant {
  /** A token picked out of every row, which needs topK >= 1. Default none. */
  readonly pick?: PickRule | undefined;
  /** What {@link pick} picks out of has penalties, and the best tokens after them are listed, which needs topK >= 1. All else is of rows as they are. */
  readonly penalties?: PenaltyRule | undefined;
}

/** What a pass is to return. Nothing is computed or copied unasked. */
export interface Want extends OwnWant {
  /** The k most likely tokens of every row, 0 <= k <= 256; 0 for none. */
  readonly topK: number;
  /** Full rows of vocabSize logits, for every node. Default false. */
  readonly logits?: boolean;
  /** Layers whose output (the hidden state after layer i, 1-based; 0 is the embedding) is wanted for every node. */
  readonly taps?: readonly number[];
}

/** The best tokens of rows after penalties: `k` a row, at least as many as were asked for or all, best first, ties to the lower id, and their logits then. */
export interface Penalised {
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logits: Float32Array;
}

/** How far a chain goes on by itself behind the newest node of a tree: its likeliest token is the next node, and so on. */
export interface ChainAhead {
  /** Nodes at most, >= 0. */
  readonly levels: number;
  /**
   * With p the chance of a row's likeliest token and v the product of these so far, that token becomes a node only while v * p is more than this: what the
   * level behind it is expected to add.
   */
  readonly worth: number;
  /** The chance of a likeliest token by its probability, in {@link CHAIN_ODDS} classes of equal width; without, that is its chance. */
  readonly odds?: Float64Array | undefined;
}

export const CHAIN_ODDS = 16;

/** One row per node that was passed, in their order. Its arrays are valid until the sequence's next pass. */
export interface Pass {
  /** Number of rows. */
  readonly size: number;
  /** How many tokens {@link tokens} gives per row. */
  readonly k: number;
  /** size x k token ids, most likely first; ties go to the lower id. Row `node` starts at node * k. */
  readonly tokens: Int32Array;
  /** size x k natural-log probabilities, in the same order. */
  readonly logProbs: Float32Array;
  /** The token picked out of each row, where the pass was asked to. */
  readonly picks: Int32Array;
  /** The best tokens after penalties, where the pass was asked to. */
  readonly penalised?: Penalised | undefined;
  /** The vocabSize logits of one row. Throws RangeError when the pass did not ask for them. */
  logits(node: NodeIndex): Float32Array;
  /** hiddenSize values of one row after layer `tap`. Throws RangeError when that tap was not asked for. */
  hidden(node: NodeIndex, tap: number): Float32Array;
}

/** A pass that runs while its caller goes on. */
export interface PassAside {
  /** Waits for it. Once only. Throws what forward does. */
  end(): Pass;
  /** Milliseconds that it took, once it has ended. */
  readonly ms: number;
}

/** How a prefill is to be done. */
export interface PrefillOptions {
  /** Aborts between layers; the cache then keeps the chunks that were done (see {@link TargetSequence.length}). */
  readonly signal?: AbortSignal;
  /** Rows wanted of each chunk; the default is nothing, and then the head is not computed. */
  readonly want?: Omit<Want, "penalties">;
  /**
   * Called after each chunk with its rows (when wanted), the tokens of the chunk, and how many tokens are done; the next chunk waits for
   * a promise.
   */
  readonly onChunk?: (chunk: {
    pass: Pass;
    tokens: readonly TokenId[];
    done: number;
  }) => void | Promise<void>;
}

/** One text in the target's cache. Calls must not overlap: await one before the next. */
export interface TargetSequence extends AsyncDisposable {
  /** Tokens committed to the cache. */
  readonly length: number;
  /** Tokens the cache can hold, pending nodes not included. */
  readonly capacity: number;
  /** Reads tokens and commits them. Throws EspalierError "context-overflow" when they do not fit. */
  prefill(tokens: readonly TokenId[], options?: PrefillOptions): Promise<void>;
  /**
   * Runs the tree on top of the committed text; its nodes stay pending until commit or rollback. With `first`, the nodes
   * before it are pending already from passes over the same tree, which has grown since; row 0 is then node `first`. Throws
   * EspalierError "context-overflow" when the deepest path, root included, does not fit, and RangeError above Target.maxNodes
   * or when nodes before `first` are not pending.
   */
  forward(tree: DraftTree, want: Want, first?: NodeIndex): Promise<Pass>;
  /**
   * The same in the time of fewer calls: runs the new nodes of `tree`, and then goes on with a chain behind its newest, whose nodes are added to `tree` and stay
   * pending as well. Row 0 is what was the newest node, row i the chain's i-th; each lists `topK` tokens, at least 1. For targets whose passes
   * are short.
   */
  forwardChain?(tree: DraftTree, topK: number, ahead: ChainAhead, first?: NodeIndex): Promise<Pass>;
  /**
   * The same while the caller goes on. Until it has ended nothing else may be asked of the sequence, and the arguments must stay as they are. Undefined where
   * it cannot be: {@link forwardChain} is always there.
   */
  beginChain?(tree: DraftTree, topK: number, ahead: ChainAhead, first?: NodeIndex): PassAside | undefined;
  /**
   * Runs the nodes of `tree` from `first` on through the first `layers` layers alone, 1 <= layers < Target.layers, and gives their hidden
   * states, hiddenSize values each. They stay pending: the next {@link forward} runs the other layers alone for those nodes of its tree,
   * of whatever order, that have the path of one of them. Nodes before `first` ran in calls before, with the same tree. Throws what forward
   * does.
   */
  forwardFirst(tree: DraftTree, layers: number, first?: NodeIndex): Promise<Float32Array>;
  /** Keeps the pending rows of `path`, which starts with node 0 and goes from parent to child; drops the others. */
  commit(path: readonly NodeIndex[]): void;
  /** Drops all pending rows. */
  rollback(): void;
  /** Forgets all committed tokens from `length` on. */
  truncate(length: number): void;
  /** Bytes of memory of its cache, which grows with the text; for targets that can tell. */
  readonly bytes?: number;
  /**
   * Makes it hold the first `length` tokens of `other`, a sequence of the same target, in place of all it held; the other may be in a
   * pass. Rejects with RangeError when there are not so many or they do not fit. For targets where it takes less time than reading them.
   */
  copyFrom?(other: TargetSequence, length: number): Promise<void>;
  /**
   * Makes its first `layers` layers hold `length` tokens of no text, in place of all it held, so that {@link forwardFirst} through them can be
   * timed behind a text that nobody has read. For targets whose passes take the longer the longer the text is.
   */
  fill?(layers: number, length: number): void;
  /** Says that a forward follows as soon as a draft is made, so that a pass that several texts share may wait for it. */
  announce?(): void;
  /** Other texts want the target too, at present: what shares no passes with them holds them up. */
  readonly crowded?: boolean;
  /** What was in the latest pass beside its own tree; for targets whose texts may share passes. */
  readonly company?: Company;
}

/** The tree of one sequence in a pass of several; nodes before `first` are pending already. */
export interface SequenceTree extends OwnWant {
  readonly sequence: TargetSequence;
  readonly tree: DraftTree;
  readonly first?: NodeIndex;
}

/** What all texts of a pass want of it. */
export type SharedWant = Omit<Want, keyof OwnWant>;

/** A model that can be asked. */
export interface Target extends AsyncDisposable {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
  /** The longest text the model was trained for, in tokens. */
  readonly contextLength: number;
  /** The most nodes one pass may have. */
  readonly maxNodes: number;
  /**
   * Bytes of weights, caches and buffers that are in use, and of freed ones that are kept for the next text: of all models of this engine in the
   * process. For targets that can tell.
   */
  readonly memory?: { readonly used: number; readonly kept: number } | undefined;
  /** Bytes that a token takes in one layer of a cache; for targets that can tell. */
  readonly layerTokenBytes?: number;
  /**
   * Positions that a row behind `length` tokens attends to, the mean of the first `layers` layers, by default all. For targets whose layers see a
   * window of the text; default: `length`.
   */
  attended?(length: number, layers?: number): number;
  /**
   * A sequence for texts of at most `capacity` tokens; memory for `length` of them, which come at once, is ready with it, so that no
   * pass waits for that. Throws EspalierError "out-of-memory" when there is none.
   */
  createSequence(options: { capacity: number; length?: number }): Promise<TargetSequence>;
  /**
   * One pass over the trees of several sequences, at most {@link maxNodes} new nodes together and no sequence twice: each gets the rows
   * that {@link TargetSequence.forward} would have given it. When it rejects, nothing has changed. For targets where that costs less than one pass after the other.
   */
  forwardAll?(batch: readonly SequenceTree[], want: SharedWant): Promise<Pass[]>;
}
