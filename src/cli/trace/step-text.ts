/** @file Parts of a step that are shown as text and as a picture alike. */

import type { NodeIndex, TokenId } from "../../types.ts";
import { expectedOf, gainOf } from "./figures.ts";
import type { Trace, TraceStep } from "./format.ts";
import { visible } from "./visible.ts";

/** Tokens before a step that may be shown with it. */
const CONTEXT = 64;

/** The texts of tokens, as the file has them. */
export function textsOf({ texts }: Trace): (token: TokenId) => string {
  const known = new Map(texts);
  return (token) => known.get(token) ?? `<token ${token}>`;
}

/** By node, its children: the accepted one first, then the likeliest. */
export function childrenOf({ parents, probs, path }: TraceStep): NodeIndex[][] {
  const accepted = new Set(path);
  const children: NodeIndex[][] = parents.map(() => []);
  for (let node = 1; node < parents.length; node++) children[parents[node]!]!.push(node);
  const order = (node: NodeIndex) => (accepted.has(node) ? 2 : probs[node]!);
  for (const list of children) list.sort((a, b) => order(b) - order(a) || a - b);
  return children;
}

/** The text just before the step and what the step gave, both visible. */
export function contextOf(
  trace: Trace,
  step: TraceStep,
): { readonly before: string; readonly given: string } {
  const textOf = textsOf(trace);
  const text = [...trace.prompt.tokens, ...trace.tokens];
  const from = step.position + 1;
  const shown = (tokens: readonly TokenId[]) => visible(tokens.map(textOf).join(""));
  return {
    before: shown(text.slice(Math.max(0, from - CONTEXT), from)),
    given: shown(text.slice(from, from + gainOf(trace, step))),
  };
}

/** "step 3 of 40: 5 tokens, 4 guessed; 2.31 expected" */
export function titleOf(trace: Trace, index: number): string {
  const step = trace.steps[index]!;
  const gain = gainOf(trace, step);
  const guessed = Math.min(gain, step.path.length - 1);
  const of = `step ${index + 1} of ${trace.steps.length}`;
  return `${of}: ${counted(gain, "token")}, ${guessed} guessed; ${expectedOf(step).toFixed(2)} expected`;
}

export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
