/** @file `espalier bench engine`: what a pass costs, by number of rows and length of the text. */

import type { Command } from "commander";
import { measurePasses, measurePrefill, type PassTimings } from "../plan/measure.ts";
import type { Model } from "../session/model.ts";
import { type EngineInfo, engineOf } from "./engine-info.ts";
import { interruptible } from "./interrupt.ts";
import { dim, type Io, writeJson } from "./io.ts";
import { type ModelOptions, withModel } from "./model.ts";
import { integer, list, shared } from "./options.ts";
import { showProgress } from "./progress.ts";
import { table } from "./table.ts";

interface Options extends Omit<ModelOptions, "context"> {
  readonly rows: readonly number[];
  readonly context: readonly number[];
  readonly rounds: number;
  readonly prefill: number;
}

/** What `bench engine --json` prints. */
interface Result extends EngineInfo {
  /** Median milliseconds of a pass, by tokens in the cache and by rows. */
  readonly contexts: Readonly<Record<string, Readonly<Record<string, number>>>>;
  /** The quartiles around these medians. */
  readonly quartiles: Readonly<
    Record<string, Readonly<Record<string, readonly [low: number, high: number]>>>
  >;
  readonly prefillTokensPerSecond: number;
  /** Loading the model. */
  readonly loadMs: number;
  /** From the start of the process until the model could be asked. */
  readonly readyMs: number;
  /** Resident memory of the process after the passes, in 10^6 bytes. */
  readonly residentMb: number;
}

const PREFILL_ROUNDS = 5;

const EXAMPLES = `
Examples:
  espalier bench engine -m smollm2-135m
  espalier bench engine -m model.gguf --rows 1,8 --context 256,2048

A row is one node of a token tree. All pairs take turns, and the figures are medians over the rounds.`;

export function addBenchEngine(bench: Command, io: Io): void {
  bench
    .command("engine")
    .description("Measure passes of the engine by number of rows.")
    .addOption(shared.model())
    .option("--rows <list>", "numbers of rows", list(integer({ min: 1 })), [1, 2, 4, 8, 16, 32])
    .option("--context <list>", "tokens in the cache", list(integer({ min: 1 })), [256])
    .option("--rounds <n>", "timed passes of each kind", integer({ min: 1 }), 25)
    .option("--prefill <n>", "tokens of the prompt whose reading is timed", integer({ min: 1 }), 512)
    .addOption(shared.threads())
    .addOption(shared.weights())
    .addOption(shared.json())
    .addHelpText("after", EXAMPLES)
    .action(async ({ context, ...options }: Options) => {
      const start = performance.now();
      await withModel(options, io, (model) =>
        interruptible(io, async (signal) => {
          const readyMs = performance.now();
          const times = await measure(model, { ...options, context }, signal, io);
          const result = { ...times, loadMs: readyMs - start, readyMs };
          if (options.json) writeJson(result, io);
          else io.stdout.write(`${show(result, io)}\n`);
        }),
      );
    });
}

async function measure(
  model: Model,
  options: Options,
  signal: AbortSignal,
  io: Io,
): Promise<Omit<Result, "loadMs" | "readyMs">> {
  const { rows, context: contexts, rounds, prefill: tokens } = options;
  const { target } = model.parts;
  const progress = showProgress("bench engine", rounds + 1, io);
  let timings: PassTimings;
  try {
    timings = await measurePasses(target, {
      rows,
      contexts,
      rounds,
      signal,
      onRound: (done) => progress.update(done),
    });
  } finally {
    progress.stop();
  }
  const residentMb = process.memoryUsage.rss() / 1e6;
  const prefill = await measurePrefill(target, { tokens, rounds: PREFILL_ROUNDS, signal });
  return {
    contexts: map(timings, ({ median }) => median),
    quartiles: map(timings, ({ low, high }) => [low, high] as const),
    ...engineOf(model),
    prefillTokensPerSecond: (tokens / prefill.median) * 1000,
    residentMb,
  };
}

function map<T>(
  timings: PassTimings,
  of: (timing: PassTimings[number][number]) => T,
): Record<string, Record<string, T>> {
  const entries = Object.entries(timings).map(([context, byRows]) => [
    context,
    Object.fromEntries(Object.entries(byRows).map(([rows, timing]) => [rows, of(timing)])),
  ]);
  return Object.fromEntries(entries);
}

function show(result: Result, io: Io): string {
  const lines = [["context", "rows", "ms", "quartiles", "over the first"]];
  for (const [context, byRows] of Object.entries(result.contexts)) {
    const first = Object.values(byRows)[0]!;
    for (const [rows, ms] of Object.entries(byRows)) {
      const [low, high] = result.quartiles[context]![rows]!;
      const over = `${(ms / first).toFixed(2)}`;
      lines.push([context, rows, ms.toFixed(2), `${low.toFixed(2)}-${high.toFixed(2)}`, over]);
    }
  }
  const { isa, threads, prefillTokensPerSecond, loadMs, residentMb } = result;
  return [
    table(lines, { numbersFrom: 0 }),
    "",
    `prefill ${prefillTokensPerSecond.toFixed(0)} tokens/s, loaded in ${loadMs.toFixed(0)} ms, ${residentMb.toFixed(0)} MB resident`,
    dim(`${isa}, ${threads} threads`, io.stdout, io),
  ].join("\n");
}
