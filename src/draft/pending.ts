/**
 * @file What a model that drafts has read in a step, on top of its cache: a chain of what was new in the text, root last, then the nodes
 * that it was asked about. They are not those of the tree that grows: the chain comes before, and not every node is asked about.
 */

import { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import type { StepOutcome } from "./drafter.ts";

export class PendingDraft {
  /** The chain and the nodes behind it. */
  readonly tree: DraftTree;
  /** By node of the tree that grows, where it is in {@link tree}. */
  readonly #places: (NodeIndex | undefined)[] = [];
  /** Whether nodes of {@link tree} have run that nobody had asked about; false at the start of a step. */
  ahead = false;
  #begun = false;
  #depth = 0;

  constructor(capacity: number) {
    this.tree = new DraftTree(0, capacity);
  }

  /** Whether the step's chain is there. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Where the root is. */
  get root(): NodeIndex {
    return this.#places[0]!;
  }

  /** Levels below `place` that find room. */
  roomBelow(place: NodeIndex): number {
    return Math.min(this.#depth - this.depth(place), this.tree.capacity - this.tree.size);
  }

  /** How far below the root a place is. */
  depth(place: NodeIndex): number {
    return this.tree.depths[place]! - this.tree.depths[this.root]!;
  }

  /** Takes the chain of a new step, `text` from token `first` on; nodes deeper than `depth` below the root will find no room. */
  begin(text: readonly TokenId[], first: Position, depth: number): void {
    const { tree } = this;
    tree.reset(text[first]!);
    for (let at = first + 1; at < text.length; at++) tree.push(tree.size - 1, text[at]!, 1);
    this.#places[0] = tree.size - 1;
    this.#begun = true;
    this.ahead = false;
    this.#depth = depth;
  }

  end(): void {
    this.#places.fill(undefined);
    this.#begun = false;
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
    if (this.ahead && parent >= 0) {
      const there = this.tree.child(parent, tree.tokens[node]!);
      if (there >= 0) {
        this.#places[node] = there;
        return there;
      }
    }
    const full = parent < 0 || tree.depths[node]! > this.#depth || this.tree.size === this.tree.capacity;
    const place = full ? -1 : this.tree.push(parent, tree.tokens[node]!, 1);
    this.#places[node] = place;
    return place;
  }

  /** The places of an accepted path, from the root on, as far as it was put. */
  follow({ tree, path }: StepOutcome): NodeIndex[] {
    const places: NodeIndex[] = [];
    let place = this.root;
    for (let i = 1; place >= 0; i++) {
      places.push(place);
      if (i === path.length) break;
      place = this.tree.child(place, tree.tokens[path[i]!]!);
    }
    return places;
  }
}
