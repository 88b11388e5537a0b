/**
 * @file Figures of a bench, by category and method. Every method is counted the same way, from the same record of each
 * answer, and rates are all tokens over all time, so that a long answer weighs more than a short one.
 */

import { summarize, type Timing } from "../plan/measure.ts";
import type { Answer } from "./transcript.ts";

export const BASELINE = "plain";

/** Spread of the prompts' own ratios of tokens per second to plain decoding's. */
export type Ratio = Timing;

export interface Figures {
  /** Prompts. */
  readonly prompts: number;
  /** Generated tokens. */
  readonly tokens: number;
  /** Target passes after the prefills. */
  readonly passes: number;
  /** Nodes drafted, and those of them that were not in the text. */
  readonly drafted: number;
  readonly wasted: number;
  /** Tokens emitted per pass. */
  readonly mat: number;
  /** Generated tokens per second of decoding; prefills are not part of it. */
  readonly tokensPerSecond: number;
  readonly prefillMs: number;
  /** Part of the decoding time that was not spent waiting for the target: drafting, verifying, sampling, text. */
  readonly outsidePasses: number;
  /** Part of the decoding time that went into drafts, passes of draft models included. */
  readonly drafting: number;
  /** Tokens per second over plain decoding's on the same prompt: median and quartiles over the prompts. */
  readonly overPlain: Ratio;
}

interface Entry {
  readonly category: string;
  readonly method: string;
  readonly tokens: number;
  readonly passes: number;
  readonly nodes: number;
  readonly decodeMs: number;
  readonly passMs: number;
  readonly draftMs: number;
  readonly prefillMs: number;
  readonly overPlain: number;
}

export class Tally {
  readonly #entries: Entry[] = [];

  /** Adds one prompt's answers by method; all methods must be there, plain decoding among them. */
  add(category: string, answers: ReadonlyMap<string, readonly Answer[]>): void {
    const sums = [...answers].map(([method, turns]) => {
      const sum = (of: (answer: Answer) => number) => turns.reduce((total, turn) => total + of(turn), 0);
      return {
        category,
        method,
        tokens: sum((answer) => answer.tokens.length),
        passes: sum((answer) => answer.stats.passes),
        nodes: sum((answer) => answer.stats.nodes),
        decodeMs: sum((answer) => answer.stats.decodeMs),
        passMs: sum((answer) => answer.stats.passMs),
        draftMs: sum((answer) => answer.stats.draftMs),
        prefillMs: sum((answer) => answer.stats.prefillMs),
      };
    });
    const plain = sums.find(({ method }) => method === BASELINE);
    if (plain === undefined) throw new Error("internal: a prompt was tallied without plain decoding");
    for (const sum of sums) this.#entries.push({ ...sum, overPlain: rate(sum) / rate(plain) });
  }

  /** Categories in the order they came. */
  get categories(): string[] {
    return [...new Set(this.#entries.map(({ category }) => category))];
  }

  /** Figures by method, of one category or of all prompts. */
  figures(category?: string): Record<string, Figures> {
    const byMethod = new Map<string, Entry[]>();
    for (const entry of this.#entries) {
      if (category !== undefined && entry.category !== category) continue;
      const entries = byMethod.get(entry.method);
      if (entries === undefined) byMethod.set(entry.method, [entry]);
      else entries.push(entry);
    }
    return Object.fromEntries([...byMethod].map(([method, entries]) => [method, sumUp(entries)]));
  }

  /** By method: tokens per second over plain decoding's, taken by category and then averaged over the categories. */
  meanOverCategories(): Record<string, number> {
    const ratios = new Map<string, number[]>();
    for (const category of this.categories) {
      const figures = this.figures(category);
      for (const [method, { tokensPerSecond }] of Object.entries(figures)) {
        const ratio = tokensPerSecond / figures[BASELINE]!.tokensPerSecond;
        ratios.set(method, [...(ratios.get(method) ?? []), ratio]);
      }
    }
    return Object.fromEntries(
      [...ratios].map(([method, all]) => [method, all.reduce((sum, ratio) => sum + ratio, 0) / all.length]),
    );
  }
}

function rate({ tokens, decodeMs }: Pick<Entry, "tokens" | "decodeMs">): number {
  return (tokens / decodeMs) * 1000;
}

function sumUp(entries: readonly Entry[]): Figures {
  const sum = (of: "tokens" | "passes" | "nodes" | "decodeMs" | "passMs" | "draftMs" | "prefillMs") =>
    entries.reduce((total, entry) => total + entry[of], 0);
  const tokens = sum("tokens");
  const passes = sum("passes");
  const decodeMs = sum("decodeMs");
  return {
    prompts: entries.length,
    tokens,
    passes,
    drafted: sum("nodes") - passes,
    wasted: sum("nodes") - tokens,
    mat: tokens / passes,
    tokensPerSecond: rate({ tokens, decodeMs }),
    prefillMs: sum("prefillMs"),
    outsidePasses: 1 - sum("passMs") / decodeMs,
    drafting: sum("draftMs") / decodeMs,
    overPlain: summarize(entries.map(({ overPlain }) => overPlain)),
  };
}
