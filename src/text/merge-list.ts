/**
 * @file Merges as a list of pairs, the first one first: a hash table from two tokens to their place in the list. The
 * whole list is checked when it is built.
 */

import { EspalierError } from "../errors.ts";
import type { TokenId } from "../types.ts";
import type { MergeRules } from "./bpe.ts";
import type { TokenTable } from "./token-table.ts";

export class MergeList implements MergeRules {
  readonly #left: Int32Array;
  readonly #right: Int32Array;
  readonly #joined: Int32Array;
  /** Merges at the place that the hash of their pair gives, or behind it; -1 is free. */
  readonly #slots: Int32Array;

  /** `merges` are two names with a space between. Throws EspalierError "bad-model" for one that names no tokens. */
  constructor(merges: readonly string[], table: TokenTable) {
    this.#left = new Int32Array(merges.length);
    this.#right = new Int32Array(merges.length);
    this.#joined = new Int32Array(merges.length);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * merges.length + 2))).fill(-1);
    const scratch = new Uint16Array(merges.reduce((longest, merge) => Math.max(longest, merge.length), 0));
    for (const [index, merge] of merges.entries()) this.#add(index, merge, table, scratch);
  }

  rank(left: TokenId, right: TokenId): number {
    return this.#slots[this.#slot(left, right)]!;
  }

  joined(rank: number): TokenId {
    return this.#joined[rank]!;
  }

  #add(index: number, merge: string, table: TokenTable, units: Uint16Array): void {
    // Without a space, nothing is the left one.
    const space = Math.max(merge.indexOf(" "), 0);
    for (let i = 0; i < merge.length; i++) units[i] = merge.charCodeAt(i);
    const left = table.find(units, 0, space);
    const right = table.find(units, space + 1, merge.length);
    units.copyWithin(space, space + 1, merge.length);
    const joined = table.find(units, 0, merge.length - 1);
    if (left < 0 || right < 0 || joined < 0) throw badMerge(index, merge);
    this.#left[index] = left;
    this.#right[index] = right;
    this.#joined[index] = joined;
    const slot = this.#slot(left, right);
    // Of a pair that is listed twice, the first counts.
    if (this.#slots[slot]! < 0) this.#slots[slot] = index;
  }

  /** Where that pair is, or the free place where it would be. */
  #slot(left: TokenId, right: TokenId): number {
    const mask = this.#slots.length - 1;
    let hash = Math.imul(left, 0x9e3779b1) + Math.imul(right, 0x85ebca6b);
    hash ^= hash >>> 15;
    let slot = hash & mask;
    for (let merge = this.#slots[slot]!; merge >= 0; merge = this.#slots[slot]!) {
      if (this.#left[merge] === left && this.#right[merge] === right) break;
      slot = (slot + 1) & mask;
    }
    return slot;
  }
}

function badMerge(index: number, merge: string): EspalierError {
  const shown = JSON.stringify(merge.slice(0, 60));
  return new EspalierError(
    "bad-model",
    `merge ${index} of the tokenizer is ${shown}; it must be two tokens with a space between that make a third one`,
  );
}
