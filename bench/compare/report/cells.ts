/** @file The grid of `bench:never-slower`: a cell is a category at a temperature and a length of the prompt. */

import type { Round } from "./records.ts";

export interface Cell {
  readonly category: string;
  readonly temperature: number;
  /** Tokens of the prompt. */
  readonly context: number;
}

/** All cells, from short prompts to long ones: categories follow each other, so that a machine's bad minute does not hit one alone. */
export function cellsOf(
  categories: readonly string[],
  temperatures: readonly number[],
  contexts: readonly number[],
): Cell[] {
  return contexts.flatMap((context) =>
    temperatures.flatMap((temperature) => categories.map((category) => ({ category, temperature, context }))),
  );
}

/** Contexts with room for `maxTokens` more, the longest that there is in place of those without. Ascending, each once. */
export function contextsWithin(
  contexts: readonly number[],
  contextLength: number,
  maxTokens: number,
): number[] {
  const longest = contextLength - maxTokens;
  if (longest < 1)
    throw new RangeError(
      `--tokens is ${maxTokens}, and the model's context has ${contextLength} tokens; give fewer`,
    );
  return [...new Set(contexts.map((context) => Math.min(context, longest)))].sort((a, b) => a - b);
}

/**
 * A prompt of exactly `length` tokens that ends as the first of `prompts` does: others of the category stand before it, as examples do. All of
 * them again when they are too few.
 */
export function filledPrompt(prompts: readonly (readonly number[])[], length: number): number[] {
  const parts: (readonly number[])[] = [];
  let tokens = 0;
  for (let at = 0; tokens < length; at++) {
    const part = prompts[at % prompts.length]!;
    if (part.length === 0) throw new RangeError("a prompt has no tokens");
    parts.unshift(part);
    tokens += part.length;
  }
  return parts.flat().slice(-length);
}

export function cellKey({
  category,
  temperature,
  context,
}: Pick<Round, "category" | "temperature" | "context">): string {
  return JSON.stringify([category, temperature, context]);
}
