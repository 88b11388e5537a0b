/** @file Keeps the steps of one generation as they come, and makes a trace of them when it has ended. */

import type { GenerateEvent } from "../../session/api.ts";
import type { ModelParts } from "../../session/parts.ts";
import type { StepReport } from "../../session/step-report.ts";
import { Detokenizer } from "../../text/detokenizer.ts";
import { Tokenizer } from "../../text/tokenizer.ts";
import type { TokenId } from "../../types.ts";
import { MOST_NODES, TRACE_FORMAT, TRACE_VERSION, type Trace, type TraceStep } from "./format.ts";
import { bytesAsText } from "./visible.ts";

type End = Extract<GenerateEvent, { type: "end" }>;

export class TraceRecorder {
  readonly #model: ModelParts;
  readonly #prompt: readonly TokenId[];
  readonly #drafters: string[] = [];
  readonly #steps: TraceStep[] = [];
  readonly #mostNodes: number;
  #nodes = 0;
  #leftOut = 0;

  /** Keeps steps until they have `mostNodes` nodes together. */
  constructor(model: ModelParts, prompt: readonly TokenId[], mostNodes = MOST_NODES) {
    this.#model = model;
    this.#prompt = prompt;
    this.#mostNodes = mostNodes;
  }

  add({ drafters, values, ...step }: StepReport): void {
    this.#nodes += step.tokens.length;
    if (this.#nodes > this.#mostNodes) {
      this.#leftOut++;
      return;
    }
    const { tokens, parents, path, probs } = step;
    this.#steps.push({
      ...step,
      tokens: [...tokens],
      parents: [...parents],
      probs: probs.map(short),
      sources: drafters.map((names) => names.reduce((bits, name) => bits | (1 << this.#place(name)), 0)),
      path: [...path],
      nodePrice: step.nodePrice === null ? null : short(step.nodePrice),
      ms: short(step.ms),
      passMs: short(step.passMs),
      draftMs: short(step.draftMs),
      drafterMs: short(step.drafterMs),
    });
  }

  /** What was kept. */
  finish({ text, tokens, stopReason, stats }: End): Trace {
    const { tokenizer, name } = this.#model;
    const detokenizer = new Detokenizer(tokenizer);
    const promptText = this.#prompt.map((token) => detokenizer.push(token)).join("") + detokenizer.end();
    const { passes, mat, prefillMs, decodeMs } = stats;
    return {
      format: TRACE_FORMAT,
      version: TRACE_VERSION,
      model: name,
      method: stats.method,
      drafters: [...this.#drafters],
      prompt: { tokens: [...this.#prompt], text: promptText },
      tokens: [...tokens],
      text,
      stopReason,
      texts: this.#texts(tokens),
      steps: this.#steps,
      stepsLeftOut: this.#leftOut,
      stats: { tokens: stats.tokens, passes, mat, prefillMs, decodeMs },
    };
  }

  #place(name: string): number {
    const known = this.#drafters.indexOf(name);
    return known < 0 ? this.#drafters.push(name) - 1 : known;
  }

  #texts(tokens: readonly TokenId[]): [TokenId, string][] {
    const { tokenizer } = this.#model;
    const used = new Set([...this.#prompt, ...tokens]);
    for (const step of this.#steps) for (const token of [...step.tokens, step.bonus]) used.add(token);
    const nameOf = (token: TokenId) =>
      tokenizer instanceof Tokenizer ? tokenizer.tokenName(token) : `<token ${token}>`;
    return [...used]
      .sort((a, b) => a - b)
      .map((token) => [token, bytesAsText(tokenizer.tokenBytes(token)) || nameOf(token)]);
  }
}

/** Six digits are more than anybody needs. */
function short(value: number): number {
  return Number(value.toPrecision(6));
}
