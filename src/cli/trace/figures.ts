/** @file What the steps of a trace come to, together. */

import type { Trace, TraceStep } from "./format.ts";

const DECILES = 10;

/** Where the time of steps went, in milliseconds; the parts are all of it. */
export interface TimeSplit {
  readonly pass: number;
  /** Inside drafters, passes of draft models among it. */
  readonly drafters: number;
  /** Putting the tree together and learning from it. */
  readonly structure: number;
  /** Planning, verification, text. */
  readonly rest: number;
}

/** Nodes of a range of estimated probability that the target had to choose about: their parents were in the text. */
export interface Decile {
  readonly from: number;
  readonly nodes: number;
  /** Mean of the estimated probabilities. */
  readonly expected: number;
  /** Part of the nodes that the target chose. */
  readonly real: number;
}

export interface DrafterFigures {
  readonly name: string;
  /** Nodes it proposed, those of them in the text, and those that nobody else had proposed. */
  readonly drafted: number;
  readonly accepted: number;
  readonly acceptedAlone: number;
}

/** What `espalier trace --json` prints. Means are by step. */
export interface TraceFigures {
  readonly model: string;
  readonly method: string;
  readonly stopReason: string;
  readonly promptTokens: number;
  readonly tokens: number;
  /** Mean accepted tokens of the whole generation. */
  readonly mat: number;
  /** Steps in the trace, and those of them that were plain, and tried out what else would give. */
  readonly steps: number;
  readonly plain: number;
  readonly trials: number;
  /** Steps behind those in the trace. */
  readonly stepsLeftOut: number;
  /** What the planner said at the last step. */
  readonly off: string | null;
  readonly nodes: number;
  readonly expectedTokens: number;
  readonly realTokens: number;
  /** At i: steps that gave i tokens. */
  readonly stepsByTokens: readonly number[];
  readonly drafters: readonly DrafterFigures[];
  readonly deciles: readonly Decile[];
  /** Expected calibration error: the mean of how far `expected` and `real` of the deciles are apart, by nodes; null without any. */
  readonly calibrationError: number | null;
  readonly time: TimeSplit;
  /** Part of the time that is neither the target's pass nor drafters: planning, fusion and bookkeeping; null without any. */
  readonly overhead: number | null;
}

export function figuresOf(trace: Trace): TraceFigures {
  const { steps, model, method, stopReason, stepsLeftOut, prompt, tokens, stats } = trace;
  const gains = steps.map((step) => gainOf(trace, step));
  const mean = (values: readonly number[]) => (values.length === 0 ? 0 : sum(values) / values.length);
  const deciles = decilesOf(steps);
  const judged = sum(deciles.map(({ nodes }) => nodes));
  const off = sum(deciles.map(({ nodes, expected, real }) => nodes * Math.abs(expected - real)));
  const time = addTimes(steps.map(timeOf));
  const ms = time.pass + time.drafters + time.structure + time.rest;
  return {
    ...{ model, method, stopReason, stepsLeftOut },
    promptTokens: prompt.tokens.length,
    tokens: tokens.length,
    mat: stats.mat,
    steps: steps.length,
    plain: steps.filter(({ kind }) => kind === "plain").length,
    trials: steps.filter(({ trial }) => trial).length,
    off: steps.at(-1)?.off ?? null,
    nodes: mean(steps.map((step) => step.tokens.length)),
    expectedTokens: mean(steps.map(expectedOf)),
    realTokens: mean(gains),
    stepsByTokens: Array.from(
      { length: gains.length === 0 ? 0 : 1 + gains.reduce((most, gain) => Math.max(most, gain), 0) },
      (_, tokens) => gains.filter((gain) => gain === tokens).length,
    ),
    drafters: trace.drafters.map((name, i) => drafterFigures(trace, name, 1 << i)),
    deciles,
    calibrationError: judged === 0 ? null : off / judged,
    time,
    overhead: ms === 0 ? null : (time.structure + time.rest) / ms,
  };
}

/** Tokens that a step gave; where the text ended inside of its path, those before the end. */
export function gainOf({ prompt, tokens }: Trace, { position, path }: TraceStep): number {
  return Math.max(0, Math.min(path.length, prompt.tokens.length + tokens.length - 1 - position));
}

/** By node, the product of the probabilities on its path. */
export function valuesOf({ probs, parents }: TraceStep): number[] {
  const values: number[] = [];
  for (const [node, prob] of probs.entries()) values.push(node === 0 ? 1 : values[parents[node]!]! * prob);
  return values;
}

/** Tokens that were expected of a step, the bonus token among them. */
export function expectedOf(step: TraceStep): number {
  return sum(valuesOf(step));
}

export function timeOf({ ms, passMs, draftMs, drafterMs }: TraceStep): TimeSplit {
  const structure = Math.max(0, draftMs - drafterMs);
  return { pass: passMs, drafters: drafterMs, structure, rest: Math.max(0, ms - passMs - draftMs) };
}

function addTimes(times: readonly TimeSplit[]): TimeSplit {
  const total = (part: keyof TimeSplit) => sum(times.map((time) => time[part]));
  return {
    pass: total("pass"),
    drafters: total("drafters"),
    structure: total("structure"),
    rest: total("rest"),
  };
}

function drafterFigures(trace: Trace, name: string, bit: number): DrafterFigures {
  let [drafted, accepted, acceptedAlone] = [0, 0, 0];
  for (const step of trace.steps) {
    for (const sources of step.sources) if (sources & bit) drafted++;
    for (const node of step.path.slice(1, 1 + gainOf(trace, step))) {
      if (step.sources[node]! & bit) accepted++;
      if (step.sources[node] === bit) acceptedAlone++;
    }
  }
  return { name, drafted, accepted, acceptedAlone };
}

function decilesOf(steps: readonly TraceStep[]): Decile[] {
  const counts = Array.from({ length: DECILES }, (_, i) => ({
    from: i / DECILES,
    nodes: 0,
    expected: 0,
    real: 0,
  }));
  for (const { probs, parents, path } of steps) {
    const accepted = new Set(path);
    for (let node = 1; node < probs.length; node++) {
      if (!accepted.has(parents[node]!)) continue;
      const decile = counts[Math.min(DECILES - 1, Math.floor(probs[node]! * DECILES))]!;
      decile.nodes++;
      decile.expected += probs[node]!;
      if (accepted.has(node)) decile.real++;
    }
  }
  return counts
    .filter(({ nodes }) => nodes > 0)
    .map(({ from, nodes, expected, real }) => ({
      from,
      nodes,
      expected: expected / nodes,
      real: real / nodes,
    }));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
