/** @file Drafters whose answers are made up, for tests of structures. */

import type { Candidates, Drafter } from "../src/draft/drafter.ts";
import { gumbel, positionKey, uniform } from "../src/random.ts";
import { BestFirst } from "../src/structure/best-first.ts";
import type { Structure } from "../src/structure/structure.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex } from "../src/types.ts";

/** Answers by `answer`, now or later; notes how many nodes each question was about. */
export function tableDrafter(answer: (tree: DraftTree, node: NodeIndex) => Candidates, later = false) {
  const questions: number[] = [];
  const drafter: Drafter = {
    name: "table",
    rows: { pass: 0, prompt: 0 },
    begin() {},
    expand: (tree, nodes, width) => {
      questions.push(nodes.length);
      const answers = nodes.map((node) => {
        const { tokens, probs } = answer(tree, node);
        return { tokens: tokens.slice(0, width), probs: probs.slice(0, width) };
      });
      return later ? Promise.resolve(answers) : answers;
    },
    observe() {},
  };
  return { ...drafter, questions };
}

/** Guesses made from a hash of the node's token and depth: `width` tokens of falling probability. */
export function hashDrafter(seed: number, width: number, vocabSize: number, later = false) {
  return tableDrafter((tree, node) => {
    const key = positionKey(seed, tree.tokens[node]! + 100 * tree.depths[node]!);
    const tokens = [...Array(vocabSize).keys()]
      .sort((a, b) => gumbel(key, b) - gumbel(key, a))
      .slice(0, width);
    const probs = tokens.map((_, i) => uniform(key, i) / (i + 1)).sort((a, b) => b - a);
    return { tokens, probs };
  }, later);
}

/** As models do it: a distribution over all `vocabSize` tokens for every path, the sharper the higher `sharpness` is. */
export function pathDrafter(seed: number, vocabSize: number, sharpness: number, later = false) {
  return tableDrafter((tree, node) => {
    const key = tree.path(node).reduce((hash, at) => positionKey(hash, tree.tokens[at]! + 1), seed);
    const weights = Array.from({ length: vocabSize }, (_, token) => Math.exp(sharpness * gumbel(key, token)));
    const sum = weights.reduce((a, b) => a + b);
    const tokens = [...weights.keys()].sort((a, b) => weights[b]! - weights[a]!);
    return { tokens, probs: tokens.map((token) => weights[token]! / sum) };
  }, later);
}

/** A tree of at most `nodes` nodes, root included, and `depth` levels below it. */
export async function grown(
  drafters: Drafter[],
  nodes: number,
  depth: number,
  structure: Structure = new BestFirst(),
) {
  const tree = new DraftTree(3, nodes);
  await structure.grow(tree, drafters, { nodes, depth });
  tree.check();
  return tree;
}

/** The values of all nodes, root included, in their order. */
export function valuesOf(tree: DraftTree): number[] {
  return [...tree.values.slice(0, tree.size)];
}

/** Tokens of a node's path below the root, as a text. */
export function pathOf(tree: DraftTree, node: NodeIndex): string {
  return tree
    .path(node)
    .slice(1)
    .map((at) => tree.tokens[at])
    .join(" ");
}

/** Of each node, sorted: which nodes a tree has, in whatever order. */
export function pathsOf(tree: DraftTree): string[] {
  return Array.from({ length: tree.size }, (_, node) => pathOf(tree, node)).sort();
}
