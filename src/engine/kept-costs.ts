/**
 * @file What passes of a model cost on this machine, kept so that its next start need not measure them: the file of one model, engine and
 * machine, in the format of a state file. Passes correct the times while they run, and these are what is kept.
 */

import { availableParallelism, cpus } from "node:os";
import type { Kept } from "../draft/learnt.ts";
import type { PassCosts } from "../plan/cost.ts";
import { badState, readState, writeState } from "../session/state-file.ts";
import { version } from "./version.ts";

const ROWS = "pass.rows";
const MS = "pass.ms";
const PER_TOKEN = "pass.per-token";
const MEASURED = "pass.measured";
/** Of what is kept. Files of another one have other names, and are left to whoever tidies up. */
const VERSION = "2";
/** What times and rows of passes can be. */
const MOST_MS = 1e6;
const MOST_ROWS = 1024;
/** After this times are measured anew: who knows what has changed that nobody wrote down. */
const MOST_AGE_MS = 7 * 86_400_000;

export interface KeptCosts {
  readonly times: PassCosts;
  /** When these were first measured, in milliseconds since 1970. */
  readonly measured: number;
}

/** What times depend on beside the model; `settings` are those of the engine. */
export function machineOf(settings: readonly string[]): string[] {
  const { model = "unknown" } = cpus()[0] ?? {};
  return [VERSION, version(), process.arch, model.trim(), String(availableParallelism()), ...settings];
}

/** Whether costs are young enough to start with. */
export function isFresh({ measured }: KeptCosts): boolean {
  const age = Date.now() - measured;
  return age >= 0 && age < MOST_AGE_MS;
}

/** Throws what {@link readState} throws. */
export async function readCosts(file: string, fingerprint: string): Promise<KeptCosts> {
  const kept = await readState(file, fingerprint);
  const { [ROWS]: rows, [MS]: ms, [PER_TOKEN]: perToken, [MEASURED]: measured } = Object.fromEntries(kept);
  const right =
    rows instanceof Int32Array &&
    ms instanceof Float64Array &&
    perToken instanceof Float64Array &&
    rows.length === ms.length &&
    rows.length === perToken.length &&
    rows[0] === 1 &&
    rows.every((count, i) => count > (rows[i - 1] ?? 0) && count <= MOST_ROWS) &&
    ms.every((time) => time > 0 && time < MOST_MS) &&
    perToken.every((time) => time >= 0 && time < MOST_MS);
  if (!right || measured?.length !== 1) throw badState(file, "it holds times that cannot be");
  const times = Array.from(rows, (count, i) => ({ rows: count, ms: ms[i]!, perToken: perToken[i]! }));
  return { times, measured: measured[0]! };
}

/** Throws what {@link writeState} throws. */
export async function writeCosts(
  file: string,
  fingerprint: string,
  { times, measured }: KeptCosts,
): Promise<void> {
  const kept: Kept = new Map<string, Int32Array | Float64Array>([
    [ROWS, Int32Array.from(times, ({ rows }) => rows)],
    [MS, Float64Array.from(times, ({ ms }) => ms)],
    [PER_TOKEN, Float64Array.from(times, ({ perToken = 0 }) => perToken)],
    [MEASURED, Float64Array.of(measured)],
  ]);
  await writeState(file, fingerprint, kept);
}
