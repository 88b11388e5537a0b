/** @file A radix tree over token sequences: finds what was filed under the text that shares the longest beginning with another. */

import type { TokenId } from "../types.ts";

interface Node<T> {
  /** The tokens between its parent and it; only the root has none. */
  edge: readonly TokenId[];
  /** By the first token of their edges. */
  children: Map<TokenId, Node<T>>;
  /** What was filed under the text that ends here. */
  readonly values: Set<T>;
}

/** A value, and how many of the first tokens of its text and another one are the same. */
export interface Near<T> {
  readonly value: T;
  readonly shared: number;
}

const leaf = <T>(edge: readonly TokenId[]): Node<T> => ({ edge, children: new Map(), values: new Set() });

export class PrefixTree<T> {
  readonly #root: Node<T> = leaf([]);

  insert(tokens: readonly TokenId[], value: T): void {
    let node = this.#root;
    for (let depth = 0; depth < tokens.length; ) {
      const next = node.children.get(tokens[depth]!);
      if (next === undefined) {
        const end = leaf<T>(tokens.slice(depth));
        node.children.set(tokens[depth]!, end);
        node = end;
        break;
      }
      const same = shared(next.edge, tokens, depth);
      node = same === next.edge.length ? next : split(node, next, same);
      depth += same;
    }
    node.values.add(value);
  }

  /** Takes out what was inserted under `tokens`. */
  remove(tokens: readonly TokenId[], value: T): void {
    const path = [this.#root];
    for (let depth = 0; depth < tokens.length; depth += path.at(-1)!.edge.length) {
      const next = path.at(-1)!.children.get(tokens[depth]!);
      if (next === undefined || shared(next.edge, tokens, depth) < next.edge.length) return;
      path.push(next);
    }
    path.at(-1)!.values.delete(value);
    // Nodes that hold nothing go, or join the only one behind them.
    for (let at = path.length - 1; at > 0; at--) {
      const node = path[at]!;
      const parent = path[at - 1]!;
      if (node.values.size > 0 || node.children.size > 1) return;
      const [only] = node.children.values();
      if (only === undefined) parent.children.delete(node.edge[0]!);
      else {
        only.edge = [...node.edge, ...only.edge];
        parent.children.set(only.edge[0]!, only);
      }
    }
  }

  /** All values, those whose texts share most with `tokens` first. */
  nearest(tokens: readonly TokenId[]): Generator<Near<T>> {
    return near(this.#root, tokens, 0);
  }
}

/** How many tokens of `edge` stand in `tokens` from `depth` on. */
function shared(edge: readonly TokenId[], tokens: readonly TokenId[], depth: number): number {
  let same = 0;
  while (same < edge.length && edge[same] === tokens[depth + same]) same++;
  return same;
}

/** A node between `parent` and its child `node`, behind the first `length` tokens of its edge. */
function split<T>(parent: Node<T>, node: Node<T>, length: number): Node<T> {
  const middle = leaf<T>(node.edge.slice(0, length));
  node.edge = node.edge.slice(length);
  middle.children.set(node.edge[0]!, node);
  parent.children.set(middle.edge[0]!, middle);
  return middle;
}

/** What is below `node`, whose text is the first `depth` of `tokens`. */
function* near<T>(node: Node<T>, tokens: readonly TokenId[], depth: number): Generator<Near<T>> {
  const next = node.children.get(tokens[depth]!);
  if (next !== undefined) {
    const same = shared(next.edge, tokens, depth);
    if (same === next.edge.length) yield* near(next, tokens, depth + same);
    else for (const value of all(next)) yield { value, shared: depth + same };
  }
  for (const value of node.values) yield { value, shared: depth };
  for (const child of node.children.values()) {
    if (child === next) continue;
    for (const value of all(child)) yield { value, shared: depth };
  }
}

function* all<T>(node: Node<T>): Generator<T> {
  yield* node.values;
  for (const child of node.children.values()) yield* all(child);
}
