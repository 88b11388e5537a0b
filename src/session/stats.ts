/** @file Counts what a generation cost and what its drafts were worth. */

import type { Drafter } from "../draft/drafter.ts";
import type { DrafterStats, GenerateStats } from "./api.ts";
import type { Step } from "./step.ts";

export class StatsCounter {
  readonly #drafters: readonly Drafter[];
  /** Passes that each drafter had made before. */
  readonly #passesBefore: readonly number[];
  readonly #drafted: number[];
  /** Of each generated token, the bit set of the drafters that had guessed it. */
  readonly #sources: number[] = [];
  /** Names by bit set. */
  readonly #names = new Map<number, readonly string[]>();
  #passes = 0;
  #nodes = 0;
  prefillMs = 0;
  decodeMs = 0;
  #passMs = 0;
  #draftMs = 0;

  constructor(drafters: readonly Drafter[]) {
    this.#drafters = drafters;
    this.#passesBefore = drafters.map(({ passes = 0 }) => passes);
    this.#drafted = drafters.map(() => 0);
  }

  countStep({ tree, path, passMs, draftMs }: Step): void {
    this.#passMs += passMs;
    this.#draftMs += draftMs;
    this.#passes++;
    this.#nodes += tree.size;
    for (let node = 1; node < tree.size; node++) {
      const sources = tree.sources[node]!;
      for (let i = 0; i < this.#drafted.length; i++) {
        if (sources & (1 << i)) this.#drafted[i] = this.#drafted[i]! + 1;
      }
    }
    for (let i = 1; i < path.length; i++) this.#sources.push(tree.sources[path[i]!]!);
    this.#sources.push(0);
  }

  /** Names of the drafters in a bit set. */
  namesOf(sources: number): readonly string[] {
    let names = this.#names.get(sources);
    if (names === undefined) {
      names = this.#drafters.filter((_, i) => sources & (1 << i)).map(({ name }) => name);
      this.#names.set(sources, names);
    }
    return names;
  }

  /** The stats of a generation of `tokens` tokens; what was clipped behind them counts as not accepted. */
  summary(
    fixed: Pick<GenerateStats, "method" | "promptTokens" | "cachedTokens" | "tokens" | "off">,
  ): GenerateStats {
    const accepted = this.#drafters.map(
      (_, i) => this.#sources.slice(0, fixed.tokens).filter((sources) => sources & (1 << i)).length,
    );
    const byDrafter: Record<string, DrafterStats> = {};
    for (const [i, { name, passes = 0 }] of this.#drafters.entries()) {
      byDrafter[name] = {
        drafted: this.#drafted[i]!,
        accepted: accepted[i]!,
        passes: passes - this.#passesBefore[i]!,
      };
    }
    return {
      ...fixed,
      passes: this.#passes,
      mat: this.#passes === 0 ? 0 : fixed.tokens / this.#passes,
      nodes: this.#nodes,
      prefillMs: this.prefillMs,
      decodeMs: this.decodeMs,
      passMs: this.#passMs,
      draftMs: this.#draftMs,
      tokensPerSecond: this.decodeMs === 0 ? 0 : (1000 * fixed.tokens) / this.decodeMs,
      byDrafter,
    };
  }
}
