/**
 * @file A trace: texts that a model wrote, and at every position what its drafter answered about the nodes that a structure might ask
 * about. Structures and stop rules are compared on it without the model, and the same trace always gives the same figures.
 */

import { gunzipSync, gzipSync } from "node:zlib";
import type { TokenId } from "../../src/types.ts";

/** Candidates kept of an answer, and how likely one must be to be kept. */
export const BRANCHES = 10;
export const LEAST = 0.001;
/** Probabilities are multiples of this. */
export const UNIT = 1e-4;

/** A node that was asked about, and what the answer was. */
export interface Answered {
  /** Index of its parent among the nodes of the step, -1 for the root, which is node 0. */
  readonly parent: number;
  readonly token: TokenId;
  /** Candidates, best first, and their probabilities in {@link UNIT}s. */
  readonly tokens: readonly TokenId[];
  readonly units: readonly number[];
}

export interface TracedText {
  readonly id: string;
  /** Prompt and answer. */
  readonly tokens: readonly TokenId[];
  /** Tokens of the prompt; its last one is the first root. */
  readonly prompt: number;
  /** Of the step whose root is token prompt - 1 + i: parents come before their children. */
  readonly steps: readonly (readonly Answered[])[];
  /** What a length predictor said before each of the steps; none for the first. */
  readonly lengths?: readonly (number | null)[] | undefined;
}

export interface Trace {
  readonly model: string;
  readonly drafter: string;
  /** Nodes of the largest trees that can be replayed, root included. */
  readonly nodes: number;
  readonly texts: readonly TracedText[];
}

/** As gzipped JSON. */
export function packTrace(trace: Trace): Buffer {
  return gzipSync(
    JSON.stringify(trace, (key, value) => (key === "steps" ? value.map(packStep) : value)),
    {
      level: 9,
    },
  );
}

export function unpackTrace(bytes: Uint8Array): Trace {
  return JSON.parse(gunzipSync(bytes).toString(), (key, value) =>
    key === "steps" ? value.map(unpackStep) : value,
  ) as Trace;
}

/** One list of numbers a node: parent, token, then its candidates in pairs. */
function packStep(step: readonly Answered[]): number[][] {
  return step.map(({ parent, token, tokens, units }) => [
    parent,
    token,
    ...tokens.flatMap((token, i) => [token, units[i]!]),
  ]);
}

function unpackStep(step: readonly (readonly number[])[]): Answered[] {
  return step.map(([parent, token, ...pairs]) => ({
    parent: parent!,
    token: token!,
    tokens: pairs.filter((_, i) => i % 2 === 0),
    units: pairs.filter((_, i) => i % 2 === 1),
  }));
}
