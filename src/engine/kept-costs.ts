/**
 * @file What passes of a model cost on this machine, and questions to what drafts for it, kept so that its next start need not measure them: the
 * file of one model, drafter, engine and machine, in the format of a state file. Both are corrected while they run, and these times are what is
 * kept.
 */

import { stat } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import { basename } from "node:path";
import type { Kept } from "../draft/learnt.ts";
import type { Costs } from "../session/parts.ts";
import { badState, readState, writeState } from "../session/state-file.ts";
import { engine } from "./binding.ts";
import { version } from "./version.ts";

const ROWS = "pass.rows";
const MS = "pass.ms";
const PER_TOKEN = "pass.per-token";
const QUESTIONS = "draft.questions";
const MEASURED = "pass.measured";
/** Of what is kept. Files of another one have other names, and are left to whoever tidies up. */
const VERSION = "2";
/** What times and rows of passes can be. */
const MOST_MS = 1e6;
const MOST_ROWS = 1024;
/** After this times are measured anew: who knows what has changed that nobody wrote down. */
const MOST_AGE_MS = 7 * 86_400_000;

/** As `loadModel` takes them. */
export interface EngineSettings {
  readonly threads?: number;
  readonly weights?: string;
  readonly cacheType?: string;
}

export interface KeptCosts extends Costs {
  /** When these were first measured, in milliseconds since 1970. */
  readonly measured: number;
}

/** What an engine runs with where nobody says otherwise, and `drafts`, as {@link identityOf} tells it. Throws EspalierError "no-engine". */
export function settingsOf(
  { threads = defaultThreads(), weights = "file", cacheType = "i16" }: EngineSettings,
  drafts: string,
): string[] {
  return [engine().currentIsa(), String(threads), weights, cacheType, drafts];
}

/** One thread for each core that this process may use. */
export function defaultThreads(): number {
  return Math.min(64, availableParallelism());
}

/** What costs depend on beside the model; `settings` are those of the engine, and who drafts. */
export function machineOf(settings: readonly string[]): string[] {
  const { model = "unknown" } = cpus()[0] ?? {};
  return [VERSION, version(), process.arch, model.trim(), String(availableParallelism()), ...settings];
}

/** Which file or folder it is that drafts, as it is now; "" for none, or one that is gone. */
export async function identityOf(path: string | undefined): Promise<string> {
  const info = path === undefined ? undefined : await stat(path).catch(() => undefined);
  return info ? `${basename(path!)} ${info.size} ${info.mtimeMs}` : "";
}

/** Whether costs are young enough to start with. */
export function isFresh({ measured }: KeptCosts): boolean {
  const age = Date.now() - measured;
  return age >= 0 && age < MOST_AGE_MS;
}

/** Throws what {@link readState} throws. */
export async function readCosts(file: string, fingerprint: string): Promise<KeptCosts> {
  const kept = Object.fromEntries(await readState(file, fingerprint));
  const {
    [ROWS]: rows,
    [MS]: ms,
    [PER_TOKEN]: perToken,
    [QUESTIONS]: questions,
    [MEASURED]: measured,
  } = kept;
  const right =
    rows instanceof Int32Array &&
    ms instanceof Float64Array &&
    perToken instanceof Float64Array &&
    rows.length === ms.length &&
    rows.length === perToken.length &&
    rows[0] === 1 &&
    rows.every((count, i) => count > (rows[i - 1] ?? 0) && count <= MOST_ROWS) &&
    ms.every(isTime) &&
    perToken.every((time) => time === 0 || isTime(time)) &&
    (questions === undefined ||
      (questions instanceof Float64Array && questions.length === 2 && questions.every(isTime)));
  if (!right || measured?.length !== 1) throw badState(file, "it holds times that cannot be");
  return {
    passes: Array.from(rows, (count, i) => ({ rows: count, ms: ms[i]!, perToken: perToken[i]! })),
    questions: questions && { first: questions[0]!, next: questions[1]! },
    measured: measured[0]!,
  };
}

function isTime(ms: number): boolean {
  return ms > 0 && ms < MOST_MS;
}

/** Throws what {@link writeState} throws. */
export async function writeCosts(
  file: string,
  fingerprint: string,
  { passes, questions, measured }: KeptCosts,
): Promise<void> {
  const kept: Kept = new Map<string, Int32Array | Float64Array>([
    [ROWS, Int32Array.from(passes, ({ rows }) => rows)],
    [MS, Float64Array.from(passes, ({ ms }) => ms)],
    [PER_TOKEN, Float64Array.from(passes, ({ perToken = 0 }) => perToken)],
    [MEASURED, Float64Array.of(measured)],
    ...(questions ? [[QUESTIONS, Float64Array.of(questions.first, questions.next)] as const] : []),
  ]);
  await writeState(file, fingerprint, kept);
}
