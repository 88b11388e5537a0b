/**
 * @file What questions to a model that drafts take, within a few hundredths of a second at a start: the fastest of some on a short text, each step with as
 * many new tokens as one that accepts two. The code is warm behind them.
 */

import type { Drafter } from "../draft/drafter.ts";
import type { QuestionCosts } from "../structure/question-times.ts";
import type { Pass, Target } from "../target/target.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";

/** Milliseconds that a start may be held up, and steps at most; where other programs leave so little that these are few, milliseconds in which there are to be FEW. */
const MOST_MS = 30;
const STEPS = 40;
const BUSY_MS = 90;
const FEW = 8;
/** Tokens of the text at first, and those that a step adds. */
const TEXT = 8;
const ADDED = 3;
/** Nodes of a second question, and candidates asked of each. */
const NODES = 4;
const BRANCHES = 8;

/**
 * Asks a drafter that has no text yet, and frees it. `sizes`: of its target, and of the shorter context of both. `pass`: runs one of the target, as
 * there is one before every first question, after which what drafts is in no cache of the processor any more. Undefined where the context leaves
 * no room.
 */
export async function quickQuestions(
  drafter: Drafter,
  sizes: Pick<Target, "vocabSize" | "hiddenSize" | "contextLength">,
  pass?: () => Promise<unknown>,
): Promise<QuestionCosts | undefined> {
  const { vocabSize, contextLength } = sizes;
  const text = Array.from({ length: TEXT }, (_, i) => tokenAt(i, vocabSize));
  const tree = new DraftTree(0, 1 + NODES + ADDED);
  let [first, next] = [Infinity, Infinity];
  const start = performance.now();
  try {
    drafter.resume?.(text, 0);
    await drafter.observePrompt?.(text.slice(0, -1), new States(TEXT - 1, sizes.hiddenSize), 0);
    await drafter.begin(text);
    for (let step = 0; step < STEPS; step++) {
      const limit = step < FEW ? BUSY_MS : MOST_MS;
      if (step > 0 && performance.now() - start > limit) break;
      if (text.length + tree.capacity > contextLength) break;
      await pass?.();
      tree.reset(text.at(-1)!);
      const begin = performance.now();
      await drafter.expand(tree, [0], BRANCHES);
      first = Math.min(first, performance.now() - begin);
      const nodes = Array.from({ length: NODES }, (_, i) => tree.push(0, tokenAt(i, vocabSize), 0.5));
      const again = performance.now();
      await drafter.expand(tree, nodes, BRANCHES);
      next = Math.min(next, performance.now() - again);
      // What is accepted is not what it was asked about, so that it has all of it to read.
      const path = [0];
      while (path.length < ADDED)
        path.push(tree.push(path.at(-1)!, tokenAt(NODES + path.length, vocabSize), 0.5));
      const bonus = tokenAt(text.length, vocabSize);
      const states = new States(tree.size, sizes.hiddenSize);
      await drafter.observe({ tree, pass: states, path, bonus, position: text.length - 1 });
      text.push(...path.slice(1).map((node) => tree.tokens[node]!), bonus);
    }
  } finally {
    await drafter[Symbol.asyncDispose]?.();
  }
  return first < Infinity ? { first: Math.max(first, LEAST_MS), next: Math.max(next, LEAST_MS) } : undefined;
}

/** Clocks can stand still for so long. */
const LEAST_MS = 0.001;

function tokenAt(i: number, vocabSize: number): TokenId {
  return (1 + i * 7919) % vocabSize;
}

/** A pass of which hidden states alone are read. */
class States implements Pass {
  readonly size: number;
  readonly k = 0;
  readonly tokens = new Int32Array(0);
  readonly logProbs = new Float32Array(0);
  readonly picks = new Int32Array(0);
  readonly #state: Float32Array;

  constructor(size: number, hiddenSize: number) {
    this.size = size;
    this.#state = Float32Array.from({ length: hiddenSize }, (_, i) => Math.cos(i));
  }

  logits(): Float32Array {
    throw new Error("internal: a drafter reads logits");
  }

  hidden(): Float32Array {
    return this.#state;
  }
}
