/** @file The candidates that may become a tree's next node: a binary heap, most valuable first, older first of equals. */

import type { NodeIndex, TokenId } from "../types.ts";

export interface Candidate {
  readonly parent: NodeIndex;
  readonly token: TokenId;
  readonly prob: number;
  /** Product of probabilities along the path. */
  readonly value: number;
  /** Bit set of the drafters that proposed it. */
  readonly sources: number;
  /** Place among the candidates of `parent`, 0 the best. */
  readonly rank: number;
}

export class Frontier {
  readonly #heap: Candidate[] = [];
  /** When each entry came in, to tell equals apart. */
  readonly #ages: number[] = [];
  #clock = 0;

  clear(): void {
    this.#heap.length = 0;
    this.#ages.length = 0;
    this.#clock = 0;
  }

  push(candidate: Candidate): void {
    const heap = this.#heap;
    const age = this.#clock++;
    let at = heap.length;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (heap[above]!.value >= candidate.value) break;
      this.#move(above, at);
      at = above;
    }
    heap[at] = candidate;
    this.#ages[at] = age;
  }

  /** Takes the best out; undefined when there is none. */
  pop(): Candidate | undefined {
    const heap = this.#heap;
    const best = heap[0];
    const last = heap.pop();
    const age = this.#ages.pop();
    if (last === undefined || age === undefined || heap.length === 0) return best;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      if (below >= heap.length) break;
      if (below + 1 < heap.length && this.#before(below + 1, heap[below]!.value, this.#ages[below]!)) below++;
      if (!this.#before(below, last.value, age)) break;
      this.#move(below, at);
      at = below;
    }
    heap[at] = last;
    this.#ages[at] = age;
    return best;
  }

  #before(at: number, value: number, age: number): boolean {
    const difference = this.#heap[at]!.value - value;
    return difference > 0 || (difference === 0 && this.#ages[at]! < age);
  }

  #move(from: number, to: number): void {
    this.#heap[to] = this.#heap[from]!;
    this.#ages[to] = this.#ages[from]!;
  }
}
