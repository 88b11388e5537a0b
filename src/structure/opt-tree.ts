/**
 * @file OPT-Tree (arXiv:2406.17276): of all trees of n nodes that the drafters' answers allow, the one with the largest expected
 * number of accepted tokens. It grows level by level, since a model's answer costs a pass: all nodes of a level are one question.
 *
 * A node's value is the product of probabilities on its path, and the expectation is the sum of values. No child is worth more than
 * its parent, so the n most valuable nodes are a tree; and a node that is not among them now has no descendant that will ever be.
 * Only the others are asked about, and when there are none the tree is the best one of any depth.
 */

import type { Candidates, Drafter } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex } from "../types.ts";
import { type Fused, type Merge, mergeByMaximum } from "./fuse.ts";
import type { StopRule } from "./stop/stop-rule.ts";
import type { Budget, Prices, Structure } from "./structure.ts";

/** What limits a question; without limits the tree is the paper's. */
export interface QuestionLimits {
  /** Most nodes that are asked about at once, the most valuable of a level, >= 1. Default: all that may have children in the tree. */
  readonly width?: number;
  /** Most candidates below one node, >= 1. Default 16: one further down is never likelier than 1/17. */
  readonly branches?: number;
}

/** How the tree grows. */
export interface Growth extends QuestionLimits {
  /** Of the answers of several drafters. Default: the larger probability counts. */
  readonly merge?: Merge;
}

/** What may become a node. */
interface Candidate extends Fused {
  readonly parent: NodeIndex;
  /** Product of probabilities along the path. */
  readonly value: number;
}

const BRANCHES = 16;
/** Part of the latest time that goes into what a question is expected to take. */
const STEP = 1 / 16;
const FREE: Prices = { ms: 0, node: 0 };

export class OptTree implements Structure {
  readonly stop: StopRule;
  readonly #width: number;
  readonly #branches: number;
  readonly #merge: Merge;
  /** Every node that was among the best when its level came. */
  #all = new DraftTree(0, 1);
  /** The best nodes of `#all`, most valuable first; of equals the older, so that parents come before their children. */
  #best: NodeIndex[] = [];
  /** By node of `#all`, where it is in the tree. */
  readonly #places: NodeIndex[] = [];
  /** Milliseconds of a question behind a step's first, which also reads what is new in the text; until there was one, of that. */
  #ms = 0;
  #known = false;

  constructor(stop: StopRule, growth: Growth = {}) {
    this.stop = stop;
    this.#width = growth.width ?? Number.POSITIVE_INFINITY;
    this.#branches = growth.branches ?? BRANCHES;
    this.#merge = growth.merge ?? mergeByMaximum;
  }

  async grow(tree: DraftTree, drafters: readonly Drafter[], budget: Budget): Promise<void> {
    const { prices = FREE, nodes } = budget;
    const depth = Math.min(budget.depth, nodes - 1);
    this.#reset(tree.root, 1 + depth * (nodes - 1));
    let level: NodeIndex[] = [0];
    let expected = 0;
    let gain = 1;
    let next = Number.POSITIVE_INFINITY;
    for (let levels = 0; levels < depth; levels++) {
      const asked = this.#worthAsking(level, nodes - 1, prices.node);
      if (asked.length === 0) break;
      const best = this.#all.values[asked[0]!]!;
      const price = prices.node + prices.ms * this.#ms;
      if (!this.stop.continue({ levels, best, gain, next, price })) break;
      const start = performance.now();
      const candidates = await this.#ask(asked, drafters);
      this.#time(performance.now() - start, levels > 0);
      level = this.#add(candidates, nodes - 1, prices.node);
      const sum = this.#best.reduce((sum, node) => sum + this.#all.values[node]!, 0);
      next = (sum - expected) ** 2 / gain;
      gain = sum - expected;
      expected = sum;
    }
    this.#copy(tree);
  }

  #reset(root: number, capacity: number): void {
    if (this.#all.capacity < capacity) this.#all = new DraftTree(root, capacity);
    else this.#all.reset(root);
    this.#best.length = 0;
  }

  /** Nodes of a level, most valuable first, whose children may be among the `most` best and worth more than `price`. */
  #worthAsking(level: readonly NodeIndex[], most: number, price: number): NodeIndex[] {
    const { values } = this.#all;
    const least = Math.max(price, this.#floor(most));
    return level.filter((node) => values[node]! > least).slice(0, this.#width);
  }

  /** What a node must be worth more than to be one of the `most` best. */
  #floor(most: number): number {
    const last = this.#best[most - 1];
    return last === undefined ? 0 : this.#all.values[last]!;
  }

  async #ask(nodes: readonly NodeIndex[], drafters: readonly Drafter[]): Promise<Candidate[]> {
    const answers: Candidates[][] = [];
    for (const drafter of drafters) answers.push(await drafter.expand(this.#all, nodes, this.#branches));
    return nodes.flatMap((parent, at) => {
      const ofNode = answers.map((all) => all[at]!);
      return this.#merge(ofNode, this.#all, parent).map((entry) => ({
        ...entry,
        parent,
        value: this.#all.values[parent]! * entry.prob,
      }));
    });
  }

  #time(took: number, behindFirst: boolean): void {
    if (!this.#known) this.#ms = took;
    else if (behindFirst) this.#ms += STEP * (took - this.#ms);
    this.#known ||= behindFirst;
  }

  /** Takes in those candidates that are among the `most` best and worth more than `price`: the new level, most valuable first. */
  #add(candidates: readonly Candidate[], most: number, price: number): NodeIndex[] {
    const all = this.#all;
    const least = Math.max(price, this.#floor(most));
    const level = candidates
      .filter(({ value }) => value > least)
      .sort((a, b) => b.value - a.value)
      .slice(0, most)
      .map(({ parent, token, prob, sources }) => all.push(parent, token, prob, sources));
    this.#best = [...this.#best, ...level]
      .sort((a, b) => all.values[b]! - all.values[a]! || a - b)
      .slice(0, most);
    return level;
  }

  #copy(tree: DraftTree): void {
    const all = this.#all;
    this.#places[0] = 0;
    for (const node of this.#best) {
      const parent = this.#places[all.parents[node]!]!;
      this.#places[node] = tree.push(parent, all.tokens[node]!, all.probs[node]!, all.sources[node]!);
    }
  }
}
