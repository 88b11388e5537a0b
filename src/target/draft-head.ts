/**
 * @file The contract of a draft head: it guesses what its target says next from what the target thought last (EAGLE,
 * arXiv:2401.15077). Row i of a text holds token i + 1 and the feature of position i, and guesses token i + 2.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import type { SpareMemory } from "./spare-memory.ts";

/** One row per new node, or the last one's alone. Its arrays are valid until the sequence's next pass. */
export interface HeadPass {
  readonly size: number;
  /** Tokens given per row: the most likely of the draft vocabulary, or those with the best logit and noise together. */
  readonly k: number;
  /** size x k ids of the target's vocabulary, best first. */
  readonly tokens: Int32Array;
  /** size x k natural-log probabilities within the draft vocabulary. */
  readonly logProbs: Float32Array;
  /** size x hiddenSize: what children of a node take in place of the target's feature. */
  readonly states: Float32Array;
}

/** A pass that runs while the caller goes on. */
export interface HeadPassAside {
  /** Waits for it; to be called once. */
  end(): HeadPass;
}

/** How a text's tokens are picked: with noise that is looked up by seed, position and token. */
export interface TextNoise {
  /** An integer from 0 to 2^32 - 1. */
  readonly seed: number;
  /** > 0. */
  readonly temperature: number;
}

/** One text in a head's cache, or the draft of one. Calls must not overlap. */
export interface HeadSequence extends AsyncDisposable {
  /** Rows committed. */
  readonly length: number;
  readonly capacity: number;
  /** Commits rows: tokens, and rows x featureSize features of the target. */
  read(tokens: Int32Array, features: Float32Array, signal?: AbortSignal): Promise<void>;
  /**
   * Rows for the nodes of `tree` from `first` on, which stay pending until commit or rollback; those before are pending already. With `"target"` the input has featureSize values a
   * row, the target's hidden states one after another; with `"head"` hiddenSize, the states of the nodes' parents; what lies behind that is not read. Throws RangeError
   * above DraftHead.maxNodes.
   */
  forward(request: {
    readonly tree: DraftTree;
    readonly first: NodeIndex;
    readonly input: Float32Array;
    readonly from: "target" | "head";
    readonly topK: number;
    /** Of a sampled text. `ahead`: positions of the text before that of row 0. Without it, and in heads that know of no noise, tokens are the most likely. */
    readonly noise?: (TextNoise & { readonly ahead: Position }) | undefined;
    /** Guesses and state of the last new node alone. */
    readonly lastOnly?: boolean;
  }): Promise<HeadPass>;
  /**
   * The same while the caller goes on. Until it has ended nothing else may be asked of the sequence, and the request must stay as it is. Undefined where
   * it cannot be: `forward` is always there. Default: never.
   */
  begin?(request: Parameters<HeadSequence["forward"]>[0]): HeadPassAside | undefined;
  /** Whether its next pass can guess `token`: one of the draft vocabulary or, with heads that guess what their text says, of its rows. */
  names(token: TokenId): boolean;
  commit(path: readonly NodeIndex[]): void;
  rollback(): void;
  truncate(length: number): void;
}

export interface DraftHead extends AsyncDisposable {
  readonly name: string;
  /** The target's layers after which a feature's hidden states are taken. */
  readonly taps: readonly number[];
  readonly hiddenSize: number;
  /** taps x hiddenSize. */
  readonly featureSize: number;
  /** Tokens it can guess. */
  readonly draftVocab: ArrayLike<TokenId>;
  readonly maxNodes: number;
  /** Where its drafters have memory for features and states from. Default: each its own. */
  readonly spare?: SpareMemory;
  /** Makes it ready for sequences, if it is not. For heads whose weights are read when they are first needed; throws EspalierError. */
  load?(): Promise<void>;
  /** Throws EspalierError "out-of-memory". */
  createSequence(options: { readonly capacity: number }): HeadSequence;
}
