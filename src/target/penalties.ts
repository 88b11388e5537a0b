/**
 * @file How tokens of the text change logits before one is picked. The engine does the same in native/penalties.c, with the same bits.
 */

import type { TokenId } from "../types.ts";

/** Every token of a text once, in elements [0, size) of both arrays. */
export interface TokenCounts {
  readonly size: number;
  readonly tokens: Int32Array;
  /** How often each was generated; 0 for those that only the prompt has. */
  readonly generated: Int32Array;
}

/** Penalties, and how many of the best tokens after them are wanted of every row. */
export interface PenaltyRule {
  /** What the text's logits are divided by, or multiplied where they are not above 0; a finite number above 0. */
  readonly repetition: number;
  /** What is taken from a logit for every time its token was generated; finite. */
  readonly frequency: number;
  /** What is taken from a logit once its token was generated; finite. */
  readonly presence: number;
  /** The text up to and with the root of a pass's tree, when the pass begins. The path from there to a row's node was generated as well. */
  readonly text: TokenCounts;
  /** From 1 to 256. */
  readonly listed: number;
}

/** Changes a row's logits where they stand: those of the rule's text with `path` behind it. */
export function penalise(logits: Float32Array, rule: PenaltyRule, path: readonly TokenId[] = []): void {
  const { size, tokens, generated } = rule.text;
  const before = path.map((token) => logits[token]!);
  for (let i = 0; i < size; i++) {
    const token = tokens[i]!;
    logits[token] = penalised(logits[token]!, generated[i]!, rule);
  }
  for (const [i, token] of path.entries()) {
    const known = tokens.subarray(0, size).indexOf(token);
    const times = path.filter((other) => other === token).length;
    logits[token] = penalised(before[i]!, (generated[known] ?? 0) + times, rule);
  }
}

/** What a token's logit becomes. */
export function penalised(
  logit: number,
  generated: number,
  { repetition, frequency, presence }: PenaltyRule,
): number {
  const repeated = logit > 0 ? logit / repetition : logit * repetition;
  return repeated - frequency * generated - (generated > 0 ? presence : 0);
}
