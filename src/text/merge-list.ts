/**
 * @file Merges as a list of pairs, the first one first: a hash table from two tokens to their place in the list. The
 * whole list is checked when it is built.
 */

import { EspalierError } from "../errors.ts";
import type { TokenId } from "../types.ts";
import type { MergeRules } from "./bpe.ts";
import type { TokenTable } from "./token-table.ts";

export class MergeList implements MergeRules {
  readonly #joined: Int32Array;
  /** Triples of a left token, a right one and their place in the list, where the hash of the two gives or behind it. */
  readonly #slots: Int32Array;

  /** `merges` are two names with a space between. Throws EspalierError "bad-model" for one that names no tokens. */
  constructor(merges: readonly string[], table: TokenTable) {
    this.#joined = new Int32Array(merges.length);
    this.#slots = new Int32Array(3 * 2 ** Math.ceil(Math.log2(2 * merges.length + 2))).fill(-1);
    const scratch = new Uint16Array(merges.reduce((longest, merge) => Math.max(longest, merge.length), 0));
    merges.forEach((merge, index) => {
      this.#add(index, merge, table, scratch);
    });
  }

  rank(left: TokenId, right: TokenId): number {
    return this.#slots[this.#slot(left, right) + 2]!;
  }

  joined(rank: number): TokenId {
    return this.#joined[rank]!;
  }

  #add(index: number, merge: string, table: TokenTable, units: Uint16Array): void {
    // Without a space, nothing is the left one.
    const space = Math.max(merge.indexOf(" "), 0);
    const end = merge.length - 1;
    for (let i = 0; i < space; i++) units[i] = merge.charCodeAt(i);
    for (let i = space; i < end; i++) units[i] = merge.charCodeAt(i + 1);
    const left = table.find(units, 0, space);
    const right = table.find(units, space, end);
    const joined = table.find(units, 0, end);
    if (left < 0 || right < 0 || joined < 0) throw badMerge(index, merge);
    this.#joined[index] = joined;
    const slot = this.#slot(left, right);
    // Of a pair that is listed twice, the first counts.
    if (this.#slots[slot]! >= 0) return;
    this.#slots[slot] = left;
    this.#slots[slot + 1] = right;
    this.#slots[slot + 2] = index;
  }

  /** Where that pair is, or the free place where it would be. */
  #slot(left: TokenId, right: TokenId): number {
    const slots = this.#slots;
    const mask = slots.length / 3 - 1;
    const hash = Math.imul(left, 0x9e3779b1) + Math.imul(right, 0x85ebca6b);
    let place = (hash ^ (hash >>> 15)) & mask;
    for (;;) {
      const slot = 3 * place;
      if (slots[slot]! < 0 || (slots[slot] === left && slots[slot + 1] === right)) return slot;
      place = (place + 1) & mask;
    }
  }
}

function badMerge(index: number, merge: string): EspalierError {
  const shown = JSON.stringify(merge.slice(0, 60));
  return new EspalierError(
    "bad-model",
    `merge ${index} of the tokenizer is ${shown}; it must be two tokens with a space between that make a third one`,
  );
}
