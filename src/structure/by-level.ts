/**
 * @file Grows a tree level by level, for drafters whose answer costs a pass: all nodes of a level are asked about in one
 * question. Of each level the most valuable are kept, and of all levels together as many as the budget has. Another level is
 * asked for as long as this one could gain more tokens with it than its pass is worth.
 */

import type { Drafter } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex } from "../types.ts";
import type { Candidate } from "./frontier.ts";
import { type Fused, fuse } from "./fuse.ts";
import type { Budget, Prices, Structure } from "./structure.ts";

/** Bounds, for when the budget has no prices or they are low. */
export interface LevelOptions {
  /** Most nodes of a level, and most candidates below one node, >= 1. */
  readonly width: number;
  /** Most levels below the root, >= 1. */
  readonly depth: number;
}

/** Part of the latest time that goes into what a question is expected to take. */
const STEP = 1 / 16;
const FREE: Prices = { ms: 0, node: 0 };

export class ByLevel implements Structure {
  readonly #options: LevelOptions;
  /** Every node of every level, before the budget cuts them. */
  readonly #all: DraftTree;
  /** By node of `#all`, where it is in the tree. */
  readonly #kept: Int32Array;
  /** Milliseconds of a question. */
  #ms = 0;

  constructor(options: LevelOptions) {
    this.#options = options;
    this.#all = new DraftTree(0, 1 + options.width * options.depth);
    this.#kept = new Int32Array(this.#all.capacity);
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const { prices = FREE } = budget;
    const all = this.#all;
    all.reset(tree.root);
    // Where a node costs more than a token, even the surest guess is not worth a question.
    const depth = budget.nodes === 1 || prices.node >= 1 ? 0 : Math.min(budget.depth, this.#options.depth);
    let level: NodeIndex[] = [0];
    // Tokens expected of the newest level, and of the next one, if it is to this one what this is to the one before.
    let tokens = 1;
    let more = Infinity;
    for (let at = 0; at < depth && more > prices.node + prices.ms * this.#ms; at++) {
      const start = performance.now();
      const candidates = await this.#candidates(level, drafters);
      const took = performance.now() - start;
      this.#ms = this.#ms === 0 ? took : this.#ms + STEP * (took - this.#ms);
      level = candidates
        .filter(({ value }) => value > prices.node)
        .sort((a, b) => b.value - a.value)
        .slice(0, this.#options.width)
        .map(({ parent, token, prob, sources }) => all.push(parent, token, prob, sources));
      const gained = level.reduce((sum, node) => sum + all.values[node]!, 0);
      more = (gained * gained) / tokens;
      tokens = gained;
    }
    this.#keep(tree, budget.nodes);
  }

  async #candidates(level: readonly NodeIndex[], drafters: readonly Drafter[]): Promise<Candidate[]> {
    const all = this.#all;
    const fused: Fused[][] = level.map(() => []);
    for (let i = 0; i < drafters.length; i++) {
      const answers = await drafters[i]!.expand(all, level, this.#options.width);
      for (let at = 0; at < level.length; at++) fuse(fused[at]!, answers[at]!, 1 << i);
    }
    return fused.flatMap((entries, at) =>
      entries.map((entry, rank) => {
        const parent = level[at]!;
        return { ...entry, parent, rank, value: all.values[parent]! * entry.prob };
      }),
    );
  }

  /** The most valuable nodes, most valuable first: no node is worth more than its parent, so they are a tree. */
  #keep(tree: DraftTree, nodes: number): void {
    const all = this.#all;
    const order = Array.from({ length: all.size - 1 }, (_, i) => i + 1);
    order.sort((a, b) => all.values[b]! - all.values[a]! || a - b);
    for (const node of order.slice(0, nodes - 1)) {
      const parent = this.#kept[all.parents[node]!]!;
      this.#kept[node] = tree.push(parent, all.tokens[node]!, all.probs[node]!, all.sources[node]!);
    }
  }
}
