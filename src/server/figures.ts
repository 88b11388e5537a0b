/** @file From the stats of a generation to `usage` and `x_espalier`. */

import type { GenerateStats, StopReason } from "../session/api.ts";
import type { Figures, Usage } from "./reply-schema.ts";

export function usageOf({ promptTokens, cachedTokens, tokens, byDrafter }: GenerateStats): Usage {
  const { drafted, accepted } = byDrafter.prediction ?? { drafted: 0, accepted: 0 };
  return {
    prompt_tokens: promptTokens,
    completion_tokens: tokens,
    total_tokens: promptTokens + tokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
    completion_tokens_details: {
      accepted_prediction_tokens: accepted,
      rejected_prediction_tokens: drafted - accepted,
    },
  };
}

export function figuresOf({ method, passes, mat, byDrafter, off }: GenerateStats, seed: number): Figures {
  return { method, passes, mat, drafters: byDrafter, off, seed };
}

export function finishReasonOf(reason: StopReason): "stop" | "length" {
  return reason === "end-token" || reason === "stop-string" ? "stop" : "length";
}
