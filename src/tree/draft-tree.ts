/**
 * @file The draft: candidate continuations as flat parallel arrays. Node 0 is the root, the newest token of the text,
 * which the target has not read yet. Invariant: parents[node] < node, so index order is also a topological order.
 */

import type { NodeIndex, TokenId } from "../types.ts";

/** Drafters that may be told apart in one tree's statistics: `sources` holds bits, one a drafter. */
export const MAX_SOURCES = 31;

/** A token tree of at most `capacity` nodes, root included. */
export class DraftTree {
  /** Token of each node. */
  readonly tokens: Int32Array;
  /** Parent of each node; -1 for the root. */
  readonly parents: Int32Array;
  /** Distance from the root, in nodes; 0 for the root. */
  readonly depths: Int32Array;
  /** Estimated probability that the target picks this node at its parent, in [0, 1]; 1 for the root. */
  readonly probs: Float64Array;
  /** Product of `probs` from the root to the node (OPT-Tree's node value, arXiv:2406.17276). */
  readonly values: Float64Array;
  /** Bit set of the drafters that proposed the node (bit i: drafter i of the method). */
  readonly sources: Int32Array;
  readonly capacity: number;
  #size = 1;
  readonly #firstChild: Int32Array;
  readonly #lastChild: Int32Array;
  readonly #nextSibling: Int32Array;

  constructor(root: TokenId, capacity: number) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`DraftTree: capacity is ${capacity}; give an integer of at least 1`);
    }
    this.capacity = capacity;
    this.tokens = new Int32Array(capacity);
    this.parents = new Int32Array(capacity);
    this.depths = new Int32Array(capacity);
    this.probs = new Float64Array(capacity);
    this.values = new Float64Array(capacity);
    this.sources = new Int32Array(capacity);
    this.#firstChild = new Int32Array(capacity);
    this.#lastChild = new Int32Array(capacity);
    this.#nextSibling = new Int32Array(capacity);
    this.parents[0] = -1;
    this.probs[0] = 1;
    this.values[0] = 1;
    this.reset(root);
  }

  /** Forgets all nodes and starts anew from `root`, so that one tree serves every step of a text. */
  reset(root: TokenId): void {
    this.tokens[0] = root;
    this.#firstChild[0] = -1;
    this.#size = 1;
  }

  /** Number of nodes, root included. */
  get size(): number {
    return this.#size;
  }

  /** The token at the root. */
  get root(): TokenId {
    return this.tokens[0]!;
  }

  /** Appends a node. `sources` is the bit set of the drafters that proposed it. */
  push(parent: NodeIndex, token: TokenId, prob: number, sources = 1): NodeIndex {
    const node = this.#size;
    if (node >= this.capacity) throw new RangeError(`DraftTree: full at ${this.capacity} nodes`);
    if (!(parent >= 0 && parent < node)) {
      throw new RangeError(`DraftTree: parent ${parent} is not a node of this tree of ${node}`);
    }
    this.tokens[node] = token;
    this.parents[node] = parent;
    this.depths[node] = this.depths[parent]! + 1;
    this.probs[node] = prob;
    this.values[node] = this.values[parent]! * prob;
    this.sources[node] = sources;
    this.#firstChild[node] = -1;
    this.#nextSibling[node] = -1;
    if (this.#firstChild[parent]! < 0) this.#firstChild[parent] = node;
    else this.#nextSibling[this.#lastChild[parent]!] = node;
    this.#lastChild[parent] = node;
    this.#size = node + 1;
    return node;
  }

  /** Drops the nodes from `size` on; what is left is a tree, because parents come before their children. */
  truncate(size: number): void {
    if (!Number.isInteger(size) || size < 1 || size > this.#size) {
      throw new RangeError(`DraftTree: ${this.#size} nodes cannot be cut to ${size}`);
    }
    for (let node = this.#size - 1; node >= size; node--) {
      const parent = this.parents[node]!;
      let before = -1;
      for (let child = this.#firstChild[parent]!; child !== node; child = this.#nextSibling[child]!)
        before = child;
      if (before < 0) this.#firstChild[parent] = -1;
      else this.#nextSibling[before] = -1;
      this.#lastChild[parent] = before;
    }
    this.#size = size;
  }

  /** The child of `node` that carries `token`, or -1. */
  child(node: NodeIndex, token: TokenId): NodeIndex {
    let child = this.#firstChild[node]!;
    while (child >= 0 && this.tokens[child] !== token) child = this.#nextSibling[child]!;
    return child;
  }

  /** The children of `node`, in the order they were pushed. */
  *children(node: NodeIndex): Generator<NodeIndex> {
    for (let child = this.#firstChild[node]!; child >= 0; child = this.#nextSibling[child]!) yield child;
  }

  /** Nodes from the root to `node`, both included. */
  path(node: NodeIndex): NodeIndex[] {
    const path: NodeIndex[] = [];
    for (let at = node; at >= 0; at = this.parents[at]!) path.push(at);
    return path.reverse();
  }

  /** Throws when the arrays contradict each other; for tests. */
  check(): void {
    for (let node = 1; node < this.#size; node++) {
      const parent = this.parents[node]!;
      if (!(parent >= 0 && parent < node)) throw new Error(`internal: node ${node} has parent ${parent}`);
      if (this.depths[node] !== this.depths[parent]! + 1) throw new Error(`internal: depth of node ${node}`);
      if (this.values[node]! > this.values[parent]!) throw new Error(`internal: value of node ${node} grows`);
      if (this.child(parent, this.tokens[node]!) !== node)
        throw new Error(`internal: node ${node} is a duplicate`);
    }
  }
}
