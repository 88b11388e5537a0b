/** @file What is known of what a model takes on this machine, out of the cache folder: nothing is measured here. */

import { embeddedDraftModel, embeddedModel, embeddedPath } from "../checkpoint/embedded.ts";
import type { Gguf } from "../checkpoint/gguf.ts";
import type { HeadTarget } from "../checkpoint/head-file.ts";
import type { Environment } from "../checkpoint/model-cache.ts";
import { findShippedHead } from "../checkpoint/shipped-heads.ts";
import { identityOf, isFresh, machineOf, readCosts, settingsOf } from "../engine/kept-costs.ts";
import { stateFile } from "../engine/state-folder.ts";
import { EspalierError } from "../errors.ts";
import { attended } from "../plan/attended.ts";
import { CostCurve, type PassCosts } from "../plan/cost.ts";
import type { QuestionCosts } from "../structure/question-times.ts";
import { fingerprint } from "../text/fingerprint.ts";
import { table } from "./table.ts";

/** The longer of the texts that are shown, in tokens. */
const LONG = 2048;

export interface KnownCosts {
  readonly path: string;
  /** When they were first measured, as ISO 8601 has it. */
  readonly measured: string;
  /** Milliseconds by rows, on a short text and for each token more, by now. */
  readonly passes: PassCosts;
  /** Milliseconds of questions to the draft model or else the head; null: nothing drafts with a model. */
  readonly questions: QuestionCosts | null;
  /** A text of that many tokens, and milliseconds of passes behind it, by rows. */
  readonly long: { readonly tokens: number; readonly ms: readonly number[] };
}

/** Those of a model that is loaded with no options; null where nothing is known. `name`: what it was asked for by. */
export async function knownCosts(
  file: Gguf,
  { config, tokens }: HeadTarget,
  name: string,
  env?: Environment,
): Promise<KnownCosts | null> {
  try {
    const drafts =
      name === embeddedModel ? embeddedPath(embeddedDraftModel) : await findShippedHead({ config, tokens });
    const model = { ...file, fingerprint: fingerprint(tokens) };
    const machine = machineOf(settingsOf({}, await identityOf(drafts)));
    const path = stateFile(model, "costs", machine, env);
    const costs = await readCosts(path, model.fingerprint);
    if (!isFresh(costs)) return null;
    const { passes, questions = null, measured } = costs;
    const curve = new CostCurve(passes, (length) => attended(config.windows, length));
    const length = Math.min(LONG, config.contextLength);
    return {
      path,
      measured: new Date(measured).toISOString(),
      passes,
      questions,
      long: { tokens: length, ms: passes.map(({ rows }) => curve.ms(rows, length)) },
    };
  } catch (error) {
    // No file, one that a start will replace, or no engine.
    if (error instanceof EspalierError) return null;
    throw error;
  }
}

export function showCosts({ passes, questions, long, measured }: KnownCosts): string {
  const ms = (value: number) => value.toFixed(2);
  const lines = table(
    [
      ["passes here, ms", ...passes.map(({ rows }) => `${rows} ${rows === 1 ? "row" : "rows"}`)],
      ["on a short text", ...passes.map((cost) => ms(cost.ms))],
      [`behind ${long.tokens} tokens`, ...long.ms.map(ms)],
    ],
    { numbersFrom: 1 },
  );
  const asked = questions
    ? `questions to what drafts: ${ms(questions.first)} ms the first of a step, ${ms(questions.next)} ms another; `
    : "";
  return `${lines}\n${asked}measured on ${measured.slice(0, 10)}, corrected by passes since`;
}
