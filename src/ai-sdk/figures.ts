/** @file From the end of a generation to what the AI SDK wants to know of it. */

import type { DrafterStats, GenerateEvent } from "../session/api.ts";
import type { Finish } from "./specification.ts";

/** `providerMetadata.espalier`: what drafting did. */
export type Figures = {
  method: string;
  /** Passes of the model after the prompt. */
  passes: number;
  /** Mean accepted tokens: tokens written per pass. */
  mat: number;
  tokensPerSecond: number;
  /** Why drafting had stopped by the end; null when it had not. */
  off: string | null;
  drafters: Record<string, { [name in keyof DrafterStats]: number }>;
};

export function finishOf({ stopReason, stats }: Extract<GenerateEvent, { type: "end" }>): Finish {
  const { promptTokens, cachedTokens, tokens, method, passes, mat, tokensPerSecond, off, byDrafter } = stats;
  const stopped = stopReason === "end-token" || stopReason === "stop-string";
  return {
    finishReason: { unified: stopped ? "stop" : "length", raw: stopReason },
    usage: {
      inputTokens: {
        total: promptTokens,
        noCache: promptTokens - cachedTokens,
        cacheRead: cachedTokens,
        cacheWrite: undefined,
      },
      outputTokens: { total: tokens, text: tokens, reasoning: 0 },
    },
    providerMetadata: { espalier: { method, passes, mat, tokensPerSecond, off, drafters: byDrafter } },
  };
}
