/**
 * @file Where in a text each n-gram was last followed by something, and where before that: one chain for each n, found
 * by hash, newest first. Adding and removing a token at the end are O(N); nothing is ever scanned.
 */

import { doubled } from "../tree/doubled.ts";
import type { Position, TokenId } from "../types.ts";

/** Longest n-gram that has a chain of its own; shorter ones have one each. */
export const LONGEST_NGRAM = 4;
const HEAD_BITS = 15;
const NONE = -1;

export class NgramIndex {
  #tokens = new Int32Array(1024);
  #length = 0;
  /** Newest position by n and hash. N-grams of equal hash share a chain, so what it gives is compared. */
  readonly #heads = new Int32Array(LONGEST_NGRAM << HEAD_BITS).fill(NONE);
  /** previous[position * LONGEST_NGRAM + n - 1]: the position before it in the chain of its n-gram. */
  #previous = new Int32Array(1024 * LONGEST_NGRAM);

  get length(): number {
    return this.#length;
  }

  at(position: Position): TokenId {
    return this.#tokens[position]!;
  }

  /** Appends a token, and notes that it follows the n-grams that end before it. */
  push(token: TokenId): void {
    const position = this.#length;
    if (position === this.#tokens.length) this.#enlarge();
    let hash = 0;
    for (let n = 1; n <= LONGEST_NGRAM && n <= position; n++) {
      hash = extend(hash, this.#tokens[position - n]!);
      const head = headOf(n, hash);
      this.#previous[position * LONGEST_NGRAM + n - 1] = this.#heads[head]!;
      this.#heads[head] = position;
    }
    this.#tokens[position] = token;
    this.#length = position + 1;
  }

  /** Removes all tokens from position `length` on. */
  truncate(length: number): void {
    while (this.#length > length) {
      const position = --this.#length;
      let hash = 0;
      for (let n = 1; n <= LONGEST_NGRAM && n <= position; n++) {
        hash = extend(hash, this.#tokens[position - n]!);
        this.#heads[headOf(n, hash)] = this.#previous[position * LONGEST_NGRAM + n - 1]!;
      }
    }
  }

  /**
   * Visits the positions before which the first `n` tokens of `tail` (newest first) stand, newest position first, until
   * `visit` returns true or `most` entries of the chain were looked at.
   */
  walk(tail: ArrayLike<TokenId>, n: number, most: number, visit: (position: Position) => boolean): void {
    let hash = 0;
    for (let back = 0; back < n; back++) hash = extend(hash, tail[back]!);
    let position = this.#heads[headOf(n, hash)]!;
    for (let steps = 0; position !== NONE && steps < most; steps++) {
      if (this.matches(tail, n, position) === n && visit(position)) return;
      position = this.#previous[position * LONGEST_NGRAM + n - 1]!;
    }
  }

  /** How many tokens before `position` equal those of `tail` (newest first), at most `most`. */
  matches(tail: ArrayLike<TokenId>, most: number, position: Position): number {
    const end = Math.min(most, position);
    let matched = 0;
    while (matched < end && this.#tokens[position - 1 - matched] === tail[matched]) matched++;
    return matched;
  }

  #enlarge(): void {
    this.#tokens = doubled(this.#tokens);
    this.#previous = doubled(this.#previous);
  }
}

/** The hash of an n-gram with one more token in front. */
function extend(hash: number, token: TokenId): number {
  return Math.imul((hash ^ (token + 1)) + 0x7feb352d, 0x9e3779b1) ^ (hash >>> 15);
}

function headOf(n: number, hash: number): number {
  return ((n - 1) << HEAD_BITS) | (hash >>> (32 - HEAD_BITS));
}
