/** @file Static tree shapes, and the one that Token Recycling found best (arXiv:2408.08696). */

import type { Shape } from "./best-first.ts";

/** A shape given by how many children each place has, level by level; a level lists its places in order. */
export class Template implements Shape {
  readonly width: number;
  readonly size: number;
  /** Place of each place's first child; its children are neighbours, so one more entry ends the last. */
  readonly #firstChild: number[] = [];

  constructor(levels: readonly (readonly number[])[]) {
    let next = 1;
    for (const level of levels) {
      for (const children of level) {
        this.#firstChild.push(next);
        next += children;
      }
    }
    this.size = next;
    // The places of the last level have no children.
    while (this.#firstChild.length <= next) this.#firstChild.push(next);
    this.width = Math.max(...levels.flat());
  }

  child(place: number, rank: number): number {
    const child = this.#firstChild[place]! + rank;
    return child < this.#firstChild[place + 1]! ? child : -1;
  }
}

/** The root and 80 nodes in 6 levels: 8, 21, 25, 15, 8 and 3. Children of each node, by the rank of its path. */
export const RECYCLING_TEMPLATE = new Template([
  [8],
  [8, 4, 3, 2, 1, 1, 1, 1],
  [8, 3, 2, 1, 1, 1, 1, 1, 2, 1, 0, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0],
  [5, 2, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0],
  [3, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 0, 1, 0, 0],
  [2, 0, 0, 1, 0, 0, 0, 0],
]);
