/**
 * @file Texts for nobody. Until V8 has compiled what a step runs, which takes it some seconds of steps and, meanwhile, one of the cores, answers come a fifth
 * slower; so a program that waits for its first request may have that behind it by then.
 */

import { setImmediate } from "node:timers/promises";
import type { Model } from "./model.ts";

/** What {@link Model.warmUp} is told. */
export interface WarmUpOptions {
  /** Milliseconds that it takes at most, above 0; default 4,000. */
  readonly ms?: number;
  /** Name of the method to write with; default: that of requests that name none. */
  readonly method?: string;
  /** Ends it. */
  readonly signal?: AbortSignal;
}

export const WARM_UP_MS = 4000;
/** Where a plain pass takes longer, all that is not one is little even while it is slow. */
export const LONGEST_PASS_MS = 20;
const TOKENS = 96;
/** Prose, code and what repeats itself, so that drafts are long and short; every other text is sampled. */
const PROMPTS = [
  "A sailor, his cat and a storm. One morning the sailor woke up and saw",
  "def longest_word(words):\n    # Returns the longest of the words, the first of several.\n",
  "Rivers of the world:\n1. The Nile flows through Africa.\n2. The Rhine flows through Europe.\n3.",
];
const TEMPERATURES = [0, 0.8];

/** Has `model`, which nobody else uses, write with `method` until `signal` ends it. */
export async function writeForNobody(model: Model, method: string, signal: AbortSignal): Promise<void> {
  const { tokenizer } = model.parts;
  const prompts = PROMPTS.map((text) => {
    const tokens = [...tokenizer.promptStart, ...tokenizer.encode(text, { special: false })];
    return tokens.slice(0, Math.ceil(model.contextLength / 2));
  });
  for (let seed = 0; !signal.aborted; seed++) {
    // Targets whose passes take no time would keep all other events waiting.
    await setImmediate();
    const tokens = prompts[seed % prompts.length]!;
    const temperature = TEMPERATURES[seed % TEMPERATURES.length]!;
    for await (const _ of model.generate({ tokens, maxTokens: TOKENS, method, temperature, seed, signal }));
  }
}
