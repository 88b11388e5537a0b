/**
 * @file The vocabulary of the moment: tokens of a text that a head has no row for. What a text says again is mostly in it already, such as
 * the names in a document that is summed up, so these are worth a guess (see training/eagle/README.md).
 */

import type { Position, TokenId } from "../types.ts";

/** ESP_MAX_MORE: once so many are known, later ones are left out. */
const MOST = 512;

export class TextTokens {
  readonly #all = new Int32Array(MOST);
  /** The row in which each stood first, ascending. */
  readonly #since: Position[] = [];
  /** By token, whether it is of no use here: the head has a row for it, or it is in the list. */
  readonly #known: Uint8Array;

  /** `own`: the tokens of a vocabulary of `vocabSize` that the head has rows for. */
  constructor(own: Int32Array, vocabSize: number) {
    this.#known = new Uint8Array(vocabSize);
    for (let i = 0; i < own.length; i++) this.#known[own[i]!] = 1;
  }

  /** In the order in which they came; valid until the next call of another method. */
  get list(): Int32Array {
    return this.#all.subarray(0, this.#since.length);
  }

  /** Whether the head has a row for `token`, or it is in the list. */
  has(token: TokenId): boolean {
    return this.#known[token] === 1;
  }

  /** Takes tokens of the text that stand in a sequence's rows from `row` on. */
  add(tokens: Int32Array, row: Position): void {
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      // A token out of range is for the pass to refuse.
      if (this.#known[token] !== 0 || this.#since.length === MOST) continue;
      this.#known[token] = 1;
      this.#all[this.#since.length] = token;
      this.#since.push(row + i);
    }
  }

  /** Forgets those that first stood in row `length` or behind it. */
  truncate(length: Position): void {
    while (this.#since.length > 0 && this.#since.at(-1)! >= length) {
      this.#since.pop();
      this.#known[this.#all[this.#since.length]!] = 0;
    }
  }
}
