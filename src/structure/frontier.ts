/**
 * @file The candidates that may become a tree's next node: a binary heap, most valuable first, older first of equals. Its entries lie in arrays
 * that are kept from step to step, since a tree looks at many more candidates than it takes.
 */

import { doubled } from "../tree/doubled.ts";
import type { NodeIndex, TokenId } from "../types.ts";

/** What {@link Frontier.pop} gives when nothing is left. */
export const EMPTY = -1;

const SMALLEST = 64;

export class Frontier {
  /** By entry, in the order they came in. */
  parents: Int32Array = new Int32Array(SMALLEST);
  tokens: Int32Array = new Int32Array(SMALLEST);
  probs: Float64Array = new Float64Array(SMALLEST);
  /** Products of probabilities along the paths. */
  values: Float64Array = new Float64Array(SMALLEST);
  /** Bit sets of the drafters that proposed them. */
  sources: Int32Array = new Int32Array(SMALLEST);
  /** Places among the candidates of their parents, 0 the best. */
  ranks: Int32Array = new Int32Array(SMALLEST);
  #entries = 0;
  /** Entries, each before the two below it. */
  #heap: Int32Array = new Int32Array(SMALLEST);
  #size = 0;

  clear(): void {
    this.#entries = 0;
    this.#size = 0;
  }

  push(parent: NodeIndex, token: TokenId, prob: number, value: number, sources: number, rank: number): void {
    if (this.#entries === this.parents.length) this.#grow();
    const entry = this.#entries++;
    this.parents[entry] = parent;
    this.tokens[entry] = token;
    this.probs[entry] = prob;
    this.values[entry] = value;
    this.sources[entry] = sources;
    this.ranks[entry] = rank;
    const { values } = this;
    const heap = this.#heap;
    let at = this.#size++;
    while (at > 0) {
      const above = (at - 1) >> 1;
      // The new one is younger than all.
      if (values[heap[above]!]! >= value) break;
      heap[at] = heap[above]!;
      at = above;
    }
    heap[at] = entry;
  }

  /** Takes the best out, whose properties stand at its number until {@link clear}; EMPTY when there is none. */
  pop(): number {
    if (this.#size === 0) return EMPTY;
    const heap = this.#heap;
    const best = heap[0]!;
    const size = --this.#size;
    const last = heap[size]!;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= size) break;
      if (below + 1 < size && this.#before(heap[below + 1]!, heap[below]!)) below++;
      if (!this.#before(heap[below]!, last)) break;
      heap[at] = heap[below]!;
      at = below;
    }
    heap[at] = last;
    return best;
  }

  #before(a: number, b: number): boolean {
    const difference = this.values[a]! - this.values[b]!;
    return difference > 0 || (difference === 0 && a < b);
  }

  #grow(): void {
    this.parents = doubled(this.parents);
    this.tokens = doubled(this.tokens);
    this.probs = doubled(this.probs);
    this.values = doubled(this.values);
    this.sources = doubled(this.sources);
    this.ranks = doubled(this.ranks);
    this.#heap = doubled(this.#heap);
  }
}
