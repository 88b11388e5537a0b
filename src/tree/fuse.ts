/** @file Two trees of one root become one, by longest prefix: a path of both is there once (RASD, arXiv:2503.03434). */

import type { NodeIndex } from "../types.ts";
import type { DraftTree } from "./draft-tree.ts";

/** A node of the union: where it and its parent are in both trees; -1: nowhere. */
export interface Twins {
  readonly inA: NodeIndex;
  readonly inB: NodeIndex;
  readonly parentInA: NodeIndex;
  readonly parentInB: NodeIndex;
}

/**
 * Adds to `into`, which has only its root, the nodes of `a`, then those of `b` alone. A node has the sources of its twins together, and
 * the probability that `judge` says. Gives the twins of the nodes of `into` but for its root.
 */
export function fuse(a: DraftTree, b: DraftTree, into: DraftTree, judge: (twins: Twins) => number): Twins[] {
  const all: Twins[] = [];
  /** Where nodes of `a` are in `b`, and those of `b` in `into`. */
  const inB: NodeIndex[] = [0];
  const places: NodeIndex[] = [0];
  const add = (parent: NodeIndex, token: number, twins: Twins): NodeIndex => {
    const sources = sourcesOf(a, twins.inA) | sourcesOf(b, twins.inB);
    all.push(twins);
    return into.push(parent, token, judge(twins), sources);
  };
  for (let node = 1; node < a.size; node++) {
    const parent = a.parents[node]!;
    const token = a.tokens[node]!;
    const parentInB = inB[parent]!;
    const twin = parentInB < 0 ? -1 : b.child(parentInB, token);
    inB[node] = twin;
    if (twin >= 0) places[twin] = node;
    add(parent, token, { inA: node, inB: twin, parentInA: parent, parentInB });
  }
  for (let node = 1; node < b.size; node++) {
    if (places[node] !== undefined) continue;
    const parent = b.parents[node]!;
    const place = places[parent]!;
    const parentInA = place < a.size ? place : -1;
    places[node] = add(place, b.tokens[node]!, { inA: -1, inB: node, parentInA, parentInB: parent });
  }
  return all;
}

function sourcesOf(tree: DraftTree, node: NodeIndex): number {
  return node < 0 ? 0 : tree.sources[node]!;
}
