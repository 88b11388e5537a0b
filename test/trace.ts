/** @file A trace made by hand, for tests of what is shown of traces. */

import { TRACE_FORMAT, TRACE_VERSION, type Trace, type TraceStep } from "../src/cli/trace/format.ts";

/** A step on the tree given by `parents`, whose node i has token 10 + i; the first one is at position 1. */
export function traceStep(parents: readonly number[], more: Partial<TraceStep> = {}): TraceStep {
  return {
    position: 1,
    kind: "drafted",
    trial: false,
    off: null,
    nodePrice: 0.05,
    grown: parents.length,
    tokens: parents.map((_, node) => 10 + node),
    parents: [...parents],
    probs: parents.map((_, node) => (node === 0 ? 1 : 0.5)),
    sources: parents.map((_, node) => (node === 0 ? 0 : 1)),
    path: [0],
    bonus: 30,
    ms: 4,
    passMs: 3,
    draftMs: 0.75,
    drafterMs: 0.5,
    ...more,
  };
}

/** Two tokens of prompt; token i is " t" and i but where `texts` says otherwise. Without steps, one of five nodes that gave three tokens. */
export function someTrace(more: Partial<Trace> = {}, texts: Readonly<Record<number, string>> = {}): Trace {
  const step = traceStep([-1, 0, 0, 1, 3], {
    probs: [1, 0.75, 0.2, 0.5, 0.5],
    sources: [0, 3, 2, 1, 1],
    path: [0, 1, 3],
  });
  const steps = more.steps ?? [step];
  const text = steps.flatMap(({ path, tokens, bonus }) => [
    ...path.slice(1).map((node) => tokens[node]!),
    bonus,
  ]);
  const used = new Set([5, 10, ...text, ...steps.flatMap(({ tokens }) => tokens)]);
  return {
    format: TRACE_FORMAT,
    version: TRACE_VERSION,
    model: "toy",
    method: "rasd",
    drafters: ["eagle", "retrieval"],
    prompt: { tokens: [5, 10], text: " t5 t10" },
    tokens: text,
    text: "",
    stopReason: "max-tokens",
    texts: [...used].map((token) => [token, texts[token] ?? ` t${token}`]),
    steps,
    stepsLeftOut: 0,
    stats: {
      tokens: text.length,
      passes: steps.length,
      mat: text.length / steps.length,
      prefillMs: 2,
      decodeMs: 4,
    },
    ...more,
  };
}

/** `text` without its colours; any other escape stays in it. */
export function withoutColors(text: string): string {
  const [first, ...rest] = text.split("\x1b[");
  return (
    first + rest.map((part) => (/^\d+m/.test(part) ? part.replace(/^\d+m/, "") : `\x1b[${part}`)).join("")
  );
}
