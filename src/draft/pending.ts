/**
 * @file What a model that drafts has read in a step, on top of its cache: a chain of what was new in the text, root last, then the nodes
 * that it was asked about. They are not those of the tree that grows: the chain comes before, and not every node is asked about.
 */

import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import type { StepOutcome } from "./drafter.ts";

export class PendingDraft {
  /** The chain and the nodes behind it. */
  readonly tree: DraftTree;
  /** By node of the tree that grows, where it is in {@link tree}; none outside a step. */
  readonly #places: NodeIndex[] = [];
  #depth = 0;

  constructor(capacity: number) {
    this.tree = new DraftTree(0, capacity);
  }

  /** Whether the step's chain is there. */
  get begun(): boolean {
    return this.#places.length > 0;
  }

  /** Where the root is. */
  get root(): NodeIndex {
    return this.#places[0]!;
  }

  /** Takes the chain of a new step; nodes deeper than `depth` below the root will find no room. */
  begin(chain: readonly TokenId[], depth: number): void {
    const { tree } = this;
    tree.reset(chain[0]!);
    for (const token of chain.slice(1)) tree.push(tree.size - 1, token, 1);
    this.#places[0] = tree.size - 1;
    this.#depth = depth;
  }

  end(): void {
    this.#places.length = 0;
  }

  /** Where `node` is; -1 when there was no room for it, undefined when it was not put yet. */
  at(node: NodeIndex): NodeIndex | undefined {
    return this.#places[node];
  }

  /** Puts `node` of the tree that grows, and those above it, unless they are there; gives its place, -1 when there is no room. */
  put(tree: DraftTree, node: NodeIndex): NodeIndex {
    const known = this.#places[node];
    if (known !== undefined) return known;
    const parent = this.put(tree, tree.parents[node]!);
    const full = parent < 0 || tree.depths[node]! > this.#depth || this.tree.size === this.tree.capacity;
    const place = full ? -1 : this.tree.push(parent, tree.tokens[node]!, 1);
    this.#places[node] = place;
    return place;
  }

  /** The places of an accepted path, from the root on, as far as it was put. */
  follow({ tree, path }: StepOutcome): NodeIndex[] {
    const places = [this.root];
    for (const node of path.slice(1)) {
      const place = this.tree.child(places.at(-1)!, tree.tokens[node]!);
      if (place < 0) break;
      places.push(place);
    }
    return places;
  }
}
