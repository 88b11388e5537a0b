/**
 * @file Rows as bytes, and the rows of plain decoding to hold them against: what tests of "same bits" share. Truth is
 * always one token a pass, on one thread, with one instruction set.
 */

import type { NativeSequence } from "../src/engine/native-sequence.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import type { Pass, Want } from "../src/target/target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../src/types.ts";
import type { Numbers } from "./native-model.ts";

/** All that a pass can give: top tokens, their log-probabilities, a token picked, logits, hidden states. */
export function everything(target: NativeTarget): Want {
  const { layers, vocabSize } = target;
  const pick = { seed: 3, scale: 0.7, reach: 12, topP: 0.8 };
  return {
    topK: Math.min(9, vocabSize),
    pick,
    logits: true,
    taps: [...new Set([0, 1, layers >> 1, layers])],
  };
}

function bytesOf(array: Int32Array | Float32Array): Buffer {
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength);
}

/** A copy of all bits of one row. */
export function rowBits(pass: Pass, node: NodeIndex, want: Want): Buffer {
  return Buffer.concat([
    bytesOf(pass.tokens.subarray(node * pass.k, (node + 1) * pass.k)),
    bytesOf(pass.logProbs.subarray(node * pass.k, (node + 1) * pass.k)),
    bytesOf(pass.picks.subarray(node, node + 1)),
    bytesOf(pass.logits(node)),
    ...(want.taps ?? []).map((tap) => bytesOf(pass.hidden(node, tap))),
  ]);
}

/** Says where a row differs from the truth; what `what` tells of the case goes first. */
export function checkRow(pass: Pass, node: NodeIndex, want: Want, truth: Buffer, what: () => string): void {
  const bits = rowBits(pass, node, want);
  if (bits.equals(truth)) return;
  if (bits.length !== truth.length) throw new Error(`${what()}: ${bits.length} bytes, not ${truth.length}`);
  const at = bits.findIndex((byte, i) => byte !== truth[i]) >> 2;
  const parts: [string, number][] = [
    ["top tokens", pass.k],
    ["log-probabilities", pass.k],
    ["pick", 1],
    ["logits", pass.logits(node).length],
    ...(want.taps ?? []).map((tap): [string, number] => [`tap ${tap}`, pass.hidden(node, tap).length]),
  ];
  let from = 0;
  for (const [part, size] of parts) {
    if (at < from + size) {
      const [is, was] = [bits, truth].map((row) => row.readFloatLE(4 * at));
      throw new Error(`${what()}: ${part} ${at - from} of node ${node}: ${is}, not ${was}`);
    }
    from += size;
  }
}

/** One token on top of the text; it stays pending. */
export function readOne(sequence: NativeSequence, token: TokenId, want: Want): Promise<Pass> {
  return sequence.forward(new DraftTree(token, 1), want);
}

/** The rows of a text, read one token at a time. */
export async function plainRows(
  target: NativeTarget,
  tokens: readonly TokenId[],
  want: Want,
): Promise<Buffer[]> {
  await using sequence = await target.createSequence({ capacity: tokens.length });
  const rows: Buffer[] = [];
  for (const token of tokens) {
    rows.push(rowBits(await readOne(sequence, token, want), 0, want));
    sequence.commit([0]);
  }
  return rows;
}

/** The rows of a tree's nodes, each path read one token at a time on top of the sequence's text. */
export async function plainTree(sequence: NativeSequence, tree: DraftTree, want: Want): Promise<Buffer[]> {
  const rows: Buffer[] = [];
  const { length } = sequence;
  const visit = async (node: NodeIndex): Promise<void> => {
    rows[node] = rowBits(await readOne(sequence, tree.tokens[node]!, want), 0, want);
    sequence.commit([0]);
    for (const child of tree.children(node)) {
      await visit(child);
      sequence.truncate(length + tree.depths[child]!);
    }
  };
  await visit(0);
  sequence.truncate(length);
  return rows;
}

/** Half chain, half bush: a node's parent is the one before it, or any. */
export function randomTree(next: Numbers, vocabSize: number, nodes: number, chain = 2): DraftTree {
  const tree = new DraftTree(next(vocabSize), nodes);
  while (tree.size < nodes) {
    const parent = next(chain) > 0 ? tree.size - 1 : next(tree.size);
    const token = next(vocabSize);
    if (tree.child(parent, token) < 0) tree.push(parent, token, 0.5);
  }
  return tree;
}

/** `size` nodes of `tree` that are a tree themselves, in a random order; `nodes` tells which they were. */
export function randomPart(
  next: Numbers,
  tree: DraftTree,
  size: number,
): { part: DraftTree; nodes: NodeIndex[] } {
  const part = new DraftTree(tree.root, size);
  const nodes: NodeIndex[] = [0];
  const edge = [...tree.children(0)];
  const placed = new Map<NodeIndex, NodeIndex>([[0, 0]]);
  while (part.size < size) {
    const [node] = edge.splice(next(edge.length), 1) as [NodeIndex];
    placed.set(node, part.push(placed.get(tree.parents[node]!)!, tree.tokens[node]!, 0.5));
    nodes.push(node);
    edge.push(...tree.children(node));
  }
  return { part, nodes };
}
