/** @file What retrieval finds: how texts went on where the newest tokens stood before, as a trie of counted continuations. */

import type { TokenId } from "../types.ts";

/** How much is looked at. */
export interface RetrievalLimits {
  /** Tokens of the longest suffix that is looked for, 1 to 64; default 16. */
  readonly longest?: number;
  /** Tokens of the shortest, 1 to `longest`; default 2. */
  readonly shortest?: number;
  /** Places whose continuation is counted, spread evenly over all that were found, 1 to 100,000; default 5,000. */
  readonly places?: number;
  /** Tokens of a continuation, 1 to 64; default 10. */
  readonly depth?: number;
  /** Nodes of the trie: the most frequent are kept, 1 to 1,024; default 64. */
  readonly nodes?: number;
}

/**
 * What followed the longest suffix of a text that stands elsewhere. The trie has no node for the text itself. Most frequent nodes first, of equals the
 * less deep: so parents come before their children, and the first n nodes are the best n and prefix-closed.
 */
export interface Continuations {
  /** Tokens of the suffix; 0 when none was found, and there are no nodes. */
  readonly matched: number;
  /** Places that were counted, among them those where nothing followed. */
  readonly hits: number;
  readonly tokens: Int32Array;
  /** parents[i] < i; -1: the node follows the text itself. */
  readonly parents: Int32Array;
  /** Places at which the path to node i followed; at most `hits`, and a parent's are at least those of its children together. */
  readonly counts: Int32Array;
}

/** Texts that can be asked, such as a datastore. */
export interface RetrievalSource {
  /** Of the vocabulary whose ids it holds: `Tokenizer.fingerprint`. */
  readonly fingerprint: string;
  /**
   * What followed the end of `context`, the newest tokens of a text, oldest first. Throws RangeError for limits out of range, EspalierError
   * "store-changed" when the file of a store was changed after it was opened.
   */
  match(context: ArrayLike<TokenId>, limits?: RetrievalLimits): Continuations;
}
