/**
 * @file What a pass costs on this machine: the wall time of passes by number of rows and length of the text. Memory speed
 * and other programs change from second to second, so everything that is to be compared alternates within each round.
 */

import type { Target, TargetSequence } from "../target/target.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";

/** Tokens asked of every row, as generation with Token Recycling does. */
const TOP_K = 8;
const ROUNDS = 15;

/** Milliseconds: the median of the rounds, and the quartiles around it. */
export interface Timing {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

export interface MeasureOptions {
  /** Numbers of rows (tree nodes, root included) to time; each at most `target.maxNodes`. */
  readonly rows: readonly number[];
  /** Lengths of the committed text, in tokens; the tree on top of it must fit into `target.contextLength`. */
  readonly contexts: readonly number[];
  /** Timed passes for each pair; default 15. One round before them is not counted. */
  readonly rounds?: number;
  /** Ends the measuring between two passes, by throwing the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after every round with the rounds done, the first one included. */
  readonly onRound?: (done: number) => void;
}

/** Times by context and number of rows. */
export type PassTimings = Record<number, Record<number, Timing>>;

/** Times passes over bushy trees on texts of arbitrary tokens. */
export async function measurePasses(target: Target, options: MeasureOptions): Promise<PassTimings> {
  const { rows, contexts, rounds = ROUNDS, signal, onRound } = options;
  checkEach("rows", rows, 1, target.maxNodes);
  checkEach("rounds", [rounds], 1, Infinity);
  const trees = rows.map((count) => bushy(count, target.vocabSize));
  const room = 1 + Math.max(...trees.map((tree) => tree.depths[tree.size - 1]!));
  checkEach("contexts", contexts, 1, target.contextLength - room);
  const texts: TargetSequence[] = [];
  try {
    for (const context of contexts) {
      const text = await target.createSequence({ capacity: context + room });
      texts.push(text);
      await text.prefill(arbitrary(context, target.vocabSize), signal === undefined ? {} : { signal });
    }
    const samples = texts.map(() => trees.map((): number[] => []));
    for (let round = 0; round <= rounds; round++) {
      for (const [at, text] of texts.entries()) {
        for (let turn = 0; turn < trees.length; turn++) {
          signal?.throwIfAborted();
          const which = (turn + round) % trees.length;
          const ms = await timePass(text, trees[which]!);
          if (round > 0) samples[at]![which]!.push(ms);
        }
      }
      onRound?.(round + 1);
    }
    return Object.fromEntries(
      contexts.map((context, at) => [
        context,
        Object.fromEntries(rows.map((count, which) => [count, summarize(samples[at]![which]!)])),
      ]),
    );
  } finally {
    for (const text of texts) await text[Symbol.asyncDispose]();
  }
}

/** Times reading `tokens` arbitrary tokens into an empty cache, with no rows asked for. */
export async function measurePrefill(
  target: Target,
  options: { readonly tokens: number; readonly rounds: number; readonly signal?: AbortSignal },
): Promise<Timing> {
  const { tokens, rounds, signal } = options;
  checkEach("tokens", [tokens], 1, target.contextLength);
  checkEach("rounds", [rounds], 1, Infinity);
  const text = await target.createSequence({ capacity: tokens });
  try {
    const samples: number[] = [];
    const prompt = arbitrary(tokens, target.vocabSize);
    for (let round = 0; round <= rounds; round++) {
      text.truncate(0);
      signal?.throwIfAborted();
      const start = performance.now();
      await text.prefill(prompt, signal === undefined ? {} : { signal });
      if (round > 0) samples.push(performance.now() - start);
    }
    return summarize(samples);
  } finally {
    await text[Symbol.asyncDispose]();
  }
}

/** Milliseconds of a pass over `tree` behind `text`, which stays as it is. */
export async function timePass(text: TargetSequence, tree: DraftTree): Promise<number> {
  const start = performance.now();
  await text.forward(tree, { topK: TOP_K });
  const ms = performance.now() - start;
  text.rollback();
  return ms;
}

/** A tree of `size` nodes in which every node has two children as long as there are nodes. */
export function bushy(size: number, vocabSize: number): DraftTree {
  const tree = new DraftTree(0, size);
  for (let node = 1; node < size; node++) tree.push((node - 1) >> 1, node % vocabSize, 0.5);
  return tree;
}

function arbitrary(length: number, vocabSize: number): TokenId[] {
  return Array.from({ length }, (_, position) => (position * 7919) % vocabSize);
}

/** Median and quartiles, each the middle of the values it stands between. */
export function summarize(samples: readonly number[]): Timing {
  const sorted = samples.toSorted((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    return (sorted[Math.floor(place)]! + sorted[Math.ceil(place)]!) / 2;
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

function checkEach(name: string, values: readonly number[], min: number, max: number): void {
  for (const value of values) {
    if (Number.isInteger(value) && value >= min && value <= max) continue;
    throw new RangeError(`measure: ${name} is ${value}; give whole numbers from ${min} to ${max}`);
  }
}
