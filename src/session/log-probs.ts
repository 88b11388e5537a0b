/** @file How likely the model found a token and its rivals: read out of the row that it was picked from. */

import type { Pass } from "../target/target.ts";
import type { TokenBytes } from "../text/detokenizer.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import type { PieceLogProbs, TokenLogProb } from "./api.ts";

/**
 * Reports of `most` of the likeliest tokens each. Rows on a list are as long as drafters want them, so which of list and row a number
 * comes from is decided by the request alone: it has the same bits whatever was drafted.
 */
export class LogProbReader {
  readonly #most: number;
  readonly #source: Pick<TokenBytes, "tokenBytes">;
  readonly #hasRows: boolean;

  /** `hasRows`: the sampler reads whole rows; otherwise it picks from the list. */
  constructor(most: number, source: Pick<TokenBytes, "tokenBytes">, hasRows: boolean) {
    this.#most = most;
    this.#source = source;
    this.#hasRows = hasRows;
  }

  /** The report of `token`, which was picked at `node`. */
  read(pass: Pass, node: NodeIndex, token: TokenId): PieceLogProbs {
    const { k, tokens, logProbs } = pass;
    const first = node * k;
    const top = Array.from({ length: Math.min(this.#most, k) }, (_, rank) =>
      this.#named(tokens[first + rank]!, logProbs[first + rank]!),
    );
    const known = top.find((entry) => entry.token === token);
    if (known) return { ...known, top };
    if (!this.#hasRows) {
      const rank = tokens.subarray(first, first + k).indexOf(token);
      return { ...this.#named(token, logProbs[first + rank]!), top };
    }
    const row = pass.logits(node);
    return { ...this.#named(token, logProbs[first]! + row[token]! - row[tokens[first]!]!), top };
  }

  #named(token: TokenId, logProb: number): TokenLogProb {
    return { token, bytes: this.#source.tokenBytes(token), logProb };
  }
}
