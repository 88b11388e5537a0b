/**
 * @file Byte-pair encoding (arXiv:1508.07909): of all neighbours in a word that may join, those of the lowest rank do,
 * the leftmost first, until none are left. A heap keeps this at n log n, however long a word is.
 */

import type { TokenId } from "../types.ts";
import { MinHeap } from "./min-heap.ts";
import type { TokenTable } from "./token-table.ts";

/** Which neighbours join, and which of them first. */
export interface MergeRules {
  /**
   * The rank of joining tokens `left` and `right`, which together are units[start] to units[end - 1]; lower ranks go
   * first. -1 when they do not join.
   */
  rank(left: TokenId, right: TokenId, units: Uint16Array, start: number, end: number): number;
  /** The token that the join of this rank makes. */
  joined(rank: number): TokenId;
}

/** A part of a word; it begins where its place in the arrays says, and the next part begins where it ends. */
interface Parts {
  readonly size: number;
  readonly ends: Int32Array;
  /** Where the part before it begins; -1 for the first. */
  readonly previous: Int32Array;
  /** -1 when the vocabulary lacks it. */
  readonly tokens: Int32Array;
  /** Rank of joining it with the next part; -1 when they do not join, or when it is a part no more. */
  readonly ranks: Int32Array;
}

/** Ranks stay below 2 ** 22 and places below 2 ** 31, so that a number holds both. */
const placeLimit = 2 ** 31;

export class BytePairEncoder {
  readonly #table: TokenTable;
  readonly #rules: MergeRules;
  readonly #queue = new MinHeap();
  #parts = newParts(64);

  constructor(table: TokenTable, rules: MergeRules) {
    this.#table = table;
    this.#rules = rules;
  }

  /** Calls `emit` for each part of a word from left to right: units[start] to units[end - 1], token -1 if unknown. */
  encode(units: Uint16Array, emit: (token: TokenId, start: number, end: number) => void): void {
    if (this.#parts.size < units.length) this.#parts = newParts(2 * units.length);
    const { ends, tokens } = this.#parts;
    this.#cutIntoCharacters(units);
    for (let at = 0; at < units.length; at = ends[at]!) this.#consider(at, units);
    this.#join(units);
    for (let at = 0; at < units.length; at = ends[at]!) emit(tokens[at]!, at, ends[at]!);
  }

  #cutIntoCharacters(units: Uint16Array): void {
    const { ends, previous, tokens } = this.#parts;
    for (let at = 0, before = -1; at < units.length; before = at, at = ends[at]!) {
      const isPair = (units[at]! & 0xfc00) === 0xd800 && (units[at + 1]! & 0xfc00) === 0xdc00;
      ends[at] = isPair ? at + 2 : at + 1;
      previous[at] = before;
      tokens[at] = this.#table.find(units, at, ends[at]!);
    }
  }

  #join(units: Uint16Array): void {
    const { ends, previous, tokens, ranks } = this.#parts;
    for (let next = this.#queue.pop(); next !== undefined; next = this.#queue.pop()) {
      const at = next % placeLimit;
      const rank = (next - at) / placeLimit;
      // One of the two has joined with something else meanwhile.
      if (ranks[at] !== rank) continue;
      const right = ends[at]!;
      const end = ends[right]!;
      ranks[right] = -1;
      tokens[at] = this.#rules.joined(rank);
      ends[at] = end;
      if (end < units.length) previous[end] = at;
      this.#consider(at, units);
      if (previous[at]! >= 0) this.#consider(previous[at]!, units);
    }
  }

  /** Ranks the part at `at` with the next one. */
  #consider(at: number, units: Uint16Array): void {
    const { ends, tokens, ranks } = this.#parts;
    const right = ends[at]!;
    const known = right < units.length && tokens[at]! >= 0 && tokens[right]! >= 0;
    const rank = known ? this.#rules.rank(tokens[at]!, tokens[right]!, units, at, ends[right]!) : -1;
    ranks[at] = rank;
    if (rank >= 0) this.#queue.push(rank * placeLimit + at);
  }
}

function newParts(size: number): Parts {
  return {
    size,
    ends: new Int32Array(size),
    previous: new Int32Array(size),
    tokens: new Int32Array(size),
    ranks: new Int32Array(size),
  };
}
