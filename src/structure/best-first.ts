/**
 * @file Grows a tree by always adding the candidate of the largest value, the product of probabilities along its path.
 * No child is worth more than its parent, so the n most valuable candidates are a tree: the one that OPT-Tree's
 * Theorem 3.1 (arXiv:2406.17276) calls optimal, found without growing a whole layer first.
 */

import type { Drafter } from "../draft/drafter.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex } from "../types.ts";
import { EMPTY, Frontier } from "./frontier.ts";
import { type Fused, fuse } from "./fuse.ts";
import type { Budget, Structure } from "./structure.ts";

/** Limits which ranks below which nodes may be drafted at all. Places are numbered from 0, the root's. */
export interface Shape {
  /** The place of the candidate of `rank` below `place`, or -1 when the shape has none there. */
  child(place: number, rank: number): number;
  /** The most candidates below any place. */
  readonly width: number;
}

/** No more candidates than this are looked at below one node. */
const WIDTH = 16;

export class BestFirst implements Structure {
  readonly #shape: Shape | undefined;
  readonly #frontier = new Frontier();
  /** By tree node, where it is in the shape. */
  readonly #places: number[] = [0];
  readonly #ask: NodeIndex[] = [0];
  readonly #fused: Fused[] = [];

  constructor(shape?: Shape) {
    this.#shape = shape;
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const frontier = this.#frontier;
    frontier.clear();
    let node: NodeIndex = 0;
    while (tree.size < budget.nodes) {
      if (tree.depths[node]! < budget.depth) {
        this.#fused.length = 0;
        this.#ask[0] = node;
        for (let i = 0; i < drafters.length; i++) {
          const answer = drafters[i]!.expand(tree, this.#ask, this.#shape?.width ?? WIDTH);
          // Tables answer at once; awaiting them would cost more than the answer.
          const answers = answer instanceof Promise ? await answer : answer;
          fuse(this.#fused, answers[0]!, 1 << i);
        }
        this.#offer(node, tree.values[node]!);
      }
      const best = frontier.pop();
      if (best === EMPTY) return;
      const parent = frontier.parents[best]!;
      node = tree.push(parent, frontier.tokens[best]!, frontier.probs[best]!, frontier.sources[best]!);
      if (this.#shape) this.#places[node] = this.#shape.child(this.#places[parent]!, frontier.ranks[best]!);
    }
  }

  #offer(parent: NodeIndex, value: number): void {
    for (let rank = 0; rank < this.#fused.length; rank++) {
      const { token, prob, sources } = this.#fused[rank]!;
      if (this.#shape && this.#shape.child(this.#places[parent]!, rank) < 0) continue;
      this.#frontier.push(parent, token, prob, value * prob, sources, rank);
    }
  }
}
