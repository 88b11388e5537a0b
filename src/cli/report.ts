/** @file How figures read in one line, and how errors do. */

import { EspalierError } from "../errors.ts";
import type { GenerateStats } from "../session/api.ts";

/** What one generation did, as a line of text. */
export function statsLine(stats: GenerateStats): string {
  const cached = stats.cachedTokens === 0 ? "" : ` (${stats.cachedTokens} cached)`;
  const drafting = `, ${((stats.draftMs / stats.decodeMs) * 100).toFixed(0)} % of the time drafting`;
  const drafted = Object.keys(stats.byDrafter).length > 0 && stats.passes > 0;
  return [
    `${stats.tokens} tokens at ${stats.tokensPerSecond.toFixed(1)} a second`,
    `${stats.passes} passes, ${stats.mat.toFixed(2)} tokens each`,
    `prompt of ${stats.promptTokens}${cached} in ${stats.prefillMs.toFixed(0)} ms`,
    `${stats.method}${drafted ? drafting : ""}`,
    ...(stats.off === null ? [] : [stats.off]),
  ].join(" · ");
}

/** `error` in one line; with `debug` the whole stack and what caused it. */
export function errorText(error: unknown, debug: boolean): string {
  if (!(error instanceof Error)) return String(error);
  if (debug) {
    const cause = error.cause === undefined ? "" : `\ncaused by ${errorText(error.cause, true)}`;
    return `${error.stack ?? error.message}${cause}`;
  }
  const line = error.message.replaceAll(/\s*\n\s*/g, " ");
  const expected =
    error instanceof EspalierError || error instanceof RangeError || error instanceof TypeError;
  return expected ? line : `${line} (--debug shows where)`;
}
