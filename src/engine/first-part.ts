/**
 * @file The nodes of a text that have run through its target's first layers alone (early exit), with their hidden states. They are
 * pending in the cache in the order in which they came; a tree that is verified later has some of them, in an order of its own.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex } from "../types.ts";

export class FirstPart {
  readonly tree: DraftTree;
  /** Layers that they ran through. */
  readonly layers: number;
  readonly #width: number;
  /** Rows of `width` values, one for each node. */
  readonly #states: Float32Array[] = [];

  constructor(tree: DraftTree, layers: number, width: number) {
    this.tree = tree;
    this.layers = layers;
    this.#width = width;
  }

  /** Nodes of `tree`, from the root on, that have run. */
  get size(): number {
    return this.#states.length;
  }

  /** Takes the states of the nodes that ran next. */
  add(states: Float32Array): void {
    for (let at = 0; at < states.length; at += this.#width)
      this.#states.push(states.subarray(at, at + this.#width));
  }

  state(place: NodeIndex): Float32Array {
    return this.#states[place]!;
  }

  /** By node of another tree, the one of these with the same path, -1 where there is none. */
  find(other: DraftTree): NodeIndex[] {
    const places: NodeIndex[] = [other.root === this.tree.root ? 0 : -1];
    for (let node = 1; node < other.size; node++) {
      const above = places[other.parents[node]!]!;
      const place = above < 0 ? -1 : this.tree.child(above, other.tokens[node]!);
      places.push(place < this.size ? place : -1);
    }
    return places;
  }
}
