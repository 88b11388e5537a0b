/** @file Replays a trace: what a structure would have drafted, and how much of it the text would have accepted. */

import type { Candidates, Drafter } from "../../src/draft/drafter.ts";
import type { StopRule } from "../../src/structure/stop/stop-rule.ts";
import type { Structure } from "../../src/structure/structure.ts";
import { DraftTree } from "../../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../../src/types.ts";
import { Calibrated, NO_PASS } from "./calibrated.ts";
import { type Answered, type Trace, type TracedText, UNIT } from "./trace.ts";

const SILENCE = { tokens: [], units: [] };

/** Answers as the recorded drafter did. */
export class TraceDrafter implements Drafter {
  readonly name = "trace";
  readonly rows = { pass: 0, prompt: 0 };
  /** Questions, nodes that they were about, and nodes that the trace knows nothing about. */
  questions = 0;
  asked = 0;
  unknown = 0;
  #text: TracedText | undefined;
  #step = 0;

  /** Goes to step `step` of a text. */
  seek(text: TracedText, step: number): void {
    this.#text = text;
    this.#step = step;
  }

  begin(): void {}
  observe(): void {}

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    this.questions++;
    this.asked += nodes.length;
    return nodes.map((node) => {
      const answered = this.#find(tree, node);
      if (answered === undefined) this.unknown++;
      const { tokens, units } = answered ?? SILENCE;
      return { tokens: tokens.slice(0, width), probs: units.slice(0, width).map((count) => count * UNIT) };
    });
  }

  /** Tokens that the best chain has right, as far as the trace goes. */
  get right(): number {
    const tree = new DraftTree(this.token(0), this.#text!.tokens.length);
    for (let length = 0; ; length++) {
      const best = this.#find(tree, length)?.tokens[0];
      if (best === undefined || best !== this.token(length + 1)) return length;
      tree.push(length, best, 1);
    }
  }

  /** What the length predictor said before this step, for the first one `longest`. */
  predicted(longest: number): number {
    const { lengths } = this.#text!;
    if (lengths === undefined)
      throw new RangeError("the trace has no predicted lengths; record it with a predictor");
    return lengths[this.#step] ?? longest;
  }

  /** The text's token `after` tokens behind the root. */
  token(after: number): TokenId {
    const { tokens, prompt } = this.#text!;
    return tokens[prompt - 1 + this.#step + after]!;
  }

  #find(tree: DraftTree, node: NodeIndex): Pick<Answered, "tokens" | "units"> | undefined {
    const step = this.#text!.steps[this.#step]!;
    let at = 0;
    for (const below of tree.path(node).slice(1)) {
      at = step.findIndex(({ parent, token }) => parent === at && token === tree.tokens[below]);
      if (at < 0) return undefined;
    }
    return step[at];
  }
}

/** Stops where the best chain goes wrong: no rule can do better. For replays alone, since it knows the text. */
export function oracle(drafter: TraceDrafter): StopRule {
  return { continue: ({ levels }) => levels < drafter.right };
}

/** The length that was predicted when the trace was recorded. */
export function predicted(drafter: TraceDrafter, longest: number): StopRule {
  return { continue: ({ levels }) => levels < drafter.predicted(longest) };
}

/** With a price: a question takes the part `cost` of a pass, whose time gives as many tokens as the rule has had on the mean. */
export function priced(rule: StopRule, cost: number): StopRule {
  let tokens = 1;
  let time = 1;
  let levels = 0;
  return {
    continue(progress) {
      levels = progress.levels;
      const goes = rule.continue({ ...progress, price: (cost * tokens) / time });
      if (goes) levels++;
      return goes;
    },
    observe(outcome) {
      tokens += outcome.path.length;
      time += 1 + cost * levels;
      rule.observe?.(outcome);
    },
  };
}

export interface Replayed {
  /** Tokens of the answers, and target passes for them. */
  readonly tokens: number;
  readonly passes: number;
  /** Nodes drafted, and those that were not accepted. */
  readonly drafted: number;
  readonly wasted: number;
  /** Questions, nodes asked about, and those of them that the trace knows nothing about. */
  readonly questions: number;
  readonly asked: number;
  readonly unknown: number;
  /** For each step: accepted tokens expected of its tree, and accepted ones. */
  readonly steps: readonly { readonly expected: number; readonly accepted: number }[];
}

export interface ReplayOptions {
  readonly structure: (drafter: TraceDrafter) => Structure;
  /** Nodes of a tree, root included. */
  readonly nodes: number;
  /** Whether answers are as likely as they have turned out to be, rather than as they were said to be. */
  readonly calibrated?: boolean;
  /** A step at every position rather than behind the tokens that the one before gave. */
  readonly everywhere?: boolean;
}

export async function replay(trace: Trace, options: ReplayOptions): Promise<Replayed> {
  const { nodes, calibrated = false, everywhere = false } = options;
  const drafter = new TraceDrafter();
  const odds = new Calibrated(drafter);
  const structure = options.structure(drafter);
  const tree = new DraftTree(0, nodes);
  const steps: { expected: number; accepted: number }[] = [];
  let drafted = 0;
  let tokens = 0;
  for (const text of trace.texts) {
    tokens += text.steps.length;
    for (let at = 0; at < text.steps.length; ) {
      drafter.seek(text, at);
      tree.reset(drafter.token(0));
      // The last token of the text can only be a bonus token.
      await structure.grow(tree, [calibrated ? odds : drafter], { nodes, depth: text.steps.length - at - 1 });
      const path = acceptedOf(tree, drafter);
      const accepted = path.length - 1;
      odds.learn(text.tokens.slice(text.prompt + at, text.prompt + at + accepted + 1));
      const bonus = drafter.token(accepted + 1);
      structure.stop?.observe?.({ tree, pass: NO_PASS, path, bonus, position: text.prompt + at - 1 });
      const values = tree.values.subarray(1, tree.size);
      steps.push({ expected: values.reduce((sum, value) => sum + value, 0), accepted });
      drafted += tree.size - 1;
      at += everywhere ? 1 : 1 + accepted;
    }
  }
  const accepted = steps.reduce((sum, step) => sum + step.accepted, 0);
  const { questions, asked, unknown } = drafter;
  return {
    tokens,
    passes: steps.length,
    drafted,
    wasted: drafted - accepted,
    questions,
    asked,
    unknown,
    steps,
  };
}

/** The path that the text takes down a tree, root included. */
function acceptedOf(tree: DraftTree, drafter: TraceDrafter): NodeIndex[] {
  const path = [0];
  for (;;) {
    const child = tree.child(path.at(-1)!, drafter.token(path.length));
    if (child < 0) return path;
    path.push(child);
  }
}
