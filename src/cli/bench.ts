/** @file `espalier bench`: every method over prompt files, by category, against plain decoding in the same run. */

import { cpus } from "node:os";
import type { Command } from "commander";
import type { Model } from "../session/model.ts";
import { addBenchEngine } from "./bench-engine.ts";
import { type EngineInfo, engineOf } from "./engine-info.ts";
import { interruptible } from "./interrupt.ts";
import { dim, type Exit, FAILED, INTERRUPTED, type Io, writeJson } from "./io.ts";
import { loadStates, type ModelOptions, withModel } from "./model.ts";
import { addModel, integer, list, methodName, shared } from "./options.ts";
import { showProgress } from "./progress.ts";
import { PROMPT_FILES, type Prompt, readPrompts, spread } from "./prompts.ts";
import { table } from "./table.ts";
import { BASELINE, type Figures, Tally } from "./tally.ts";
import { type Answer, type Divergence, firstDifference, runPrompt, type TurnRequest } from "./transcript.ts";
import { commit } from "./version.ts";

interface Options extends ModelOptions {
  readonly prompts: readonly string[];
  readonly methods?: readonly string[];
  readonly limit?: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly budget?: number;
}

/** What `bench --json` prints. */
interface Result {
  readonly methods: Readonly<Record<string, Figures>>;
  readonly categories: Readonly<Record<string, Readonly<Record<string, Figures>>>>;
  /** By method: tokens per second over plain decoding's, averaged over the categories. */
  readonly meanOverCategories: Readonly<Record<string, number>>;
  readonly equal: boolean;
  readonly firstDivergence: Divergence | null;
  readonly machine: { readonly cpu: string; readonly cores: number } & EngineInfo;
  readonly commit: string;
}

const PROMPTS = "--prompts <files>";

const EXAMPLES = `
Examples:
  espalier bench -m smollm2-135m --prompts spec_bench.jsonl,code_edit.jsonl --limit 26
  espalier bench -m model.gguf --prompts code.jsonl --methods token-recycling --budget 8 --json
  espalier bench --prompts chat.jsonl --methods opt-tree,chain:3,ddd:0.6
  espalier bench engine -m model.gguf

Methods take turns prompt by prompt. Each learns for itself from prompt to prompt, and all start with nothing learnt
unless --state names a file.
${PROMPT_FILES}
Ends with exit code 1 when a method's text is not the one of plain decoding.`;

export function addBench(program: Command, io: Io, exit: Exit): void {
  const bench = addModel(
    program
      .command("bench")
      .description("Measure every method over prompt files, by category.")
      .enablePositionalOptions(),
  )
    // Not mandatory for commander, which would ask for them in `bench engine` as well.
    .option(PROMPTS, "prompt files (JSON Lines), separated by commas", list(String))
    .option("--methods <names>", "methods beside plain, separated by commas (default: all)", list(methodName))
    .option("--limit <n>", "at most n prompts of each file, spread over its categories", integer({ min: 1 }))
    .addOption(shared.maxTokens().default(128))
    .addOption(shared.temperature())
    .addOption(shared.seed())
    .addOption(shared.budget())
    .addOption(shared.state())
    .addOption(shared.json())
    .addHelpText("after", EXAMPLES)
    .action(async (given: Partial<Options>, command: Command) => {
      const options = complete(given, command);
      const files = await Promise.all(options.prompts.map(readPrompts));
      const prompts = files.flatMap((file) => spread(file, options.limit));
      const { result, interrupted } = await withModel(options, io, (model) =>
        interruptible(io, async (signal) => ({
          result: await measure(model, prompts, options, signal, io),
          interrupted: signal.aborted,
        })),
      );
      if (options.json) writeJson(result, io);
      else io.stdout.write(`${show(result, io)}\n`);
      if (!result.equal) exit(FAILED);
      else if (interrupted) exit(INTERRUPTED);
    });
  addBenchEngine(bench, io);
}

function complete(given: Partial<Options>, command: Command): Options {
  if (given.prompts === undefined) command.error(`error: required option '${PROMPTS}' not specified`);
  return given as Options;
}

async function measure(
  model: Model,
  prompts: readonly Prompt[],
  options: Options,
  signal: AbortSignal,
  io: Io,
): Promise<Result> {
  const { maxTokens, temperature, seed, budget } = options;
  const request: TurnRequest = {
    maxTokens,
    temperature,
    seed,
    signal,
    ...(budget === undefined ? {} : { budget }),
  };
  const methods = [...new Set([BASELINE, ...(options.methods ?? model.methodNames)])];
  for (const method of methods) model.method(method);
  await loadStates(model, options.state, methods);
  const tally = new Tally();
  let firstDivergence: Divergence | null = null;
  const progress = showProgress("bench", prompts.length, io);
  try {
    // The first passes of a process bring the weights into memory; nobody's time should hold them.
    await runPrompt(model, prompts[0]!, { ...request, method: BASELINE, maxTokens: Math.min(8, maxTokens) });
    for (const [index, prompt] of prompts.entries()) {
      const answers = new Map<string, Answer[]>();
      for (let turn = 0; turn < methods.length && !signal.aborted; turn++) {
        const method = methods[(index + turn) % methods.length]!;
        answers.set(method, await runPrompt(model, prompt, { ...request, method }));
      }
      // A prompt that ctrl-C cut short counts for no method.
      if (signal.aborted) break;
      const inOrder = new Map(methods.map((method) => [method, answers.get(method)!]));
      tally.add(prompt.category, inOrder);
      firstDivergence ??= divergence(prompt, inOrder);
      progress.update(index + 1, `${prompt.category} ${prompt.id}`);
    }
  } finally {
    progress.stop();
  }
  return {
    methods: tally.figures(),
    categories: Object.fromEntries(tally.categories.map((category) => [category, tally.figures(category)])),
    meanOverCategories: tally.meanOverCategories(),
    equal: firstDivergence === null,
    firstDivergence,
    machine: { cpu: cpus()[0]?.model.trim() ?? "unknown", cores: cpus().length, ...engineOf(model) },
    commit: commit(),
  };
}

function divergence(prompt: Prompt, answers: ReadonlyMap<string, readonly Answer[]>): Divergence | null {
  const plain = answers.get(BASELINE)!;
  for (const [method, drafted] of answers) {
    const difference = firstDifference(plain, drafted);
    if (difference !== undefined) return { prompt: prompt.id, ...difference, method };
  }
  return null;
}

function show(result: Result, io: Io): string {
  const rows = [
    [
      "category",
      "method",
      "prompts",
      "tokens",
      "MAT",
      "tokens/s",
      "over plain",
      "quartiles",
      "outside",
      "drafting",
      "wasted",
    ],
  ];
  const all = Object.entries({ ...result.categories, "all prompts": result.methods });
  for (const [category, figures] of all) {
    for (const [method, figure] of Object.entries(figures)) rows.push([category, method, ...cells(figure)]);
  }
  const means = Object.entries(result.meanOverCategories)
    .filter(([method]) => method !== BASELINE)
    .map(([method, ratio]) => `${method} ${ratio.toFixed(2)}`);
  const { cpu, cores, isa, threads } = result.machine;
  return [
    table(rows, { numbersFrom: 2 }),
    "",
    `tokens/s over plain decoding's, mean over the categories: ${means.join(", ") || "nothing to compare"}`,
    result.equal
      ? "equal: every method gave plain decoding's tokens"
      : `NOT EQUAL: ${JSON.stringify(result.firstDivergence)}`,
    "over plain: median over the prompts",
    "outside: part of the time that passes of the model do not take; drafting: what drafts take of it; wasted: part of the drafted tokens",
    dim(`${cpu}, ${cores} cores, ${threads} threads, ${isa}, ${result.commit}`, io.stdout, io),
  ].join("\n");
}

function cells(figures: Figures): string[] {
  const { prompts, tokens, mat, tokensPerSecond, overPlain, outsidePasses, drafting, drafted, wasted } =
    figures;
  return [
    String(prompts),
    String(tokens),
    mat.toFixed(2),
    tokensPerSecond.toFixed(1),
    overPlain.median.toFixed(2),
    `${overPlain.low.toFixed(2)}-${overPlain.high.toFixed(2)}`,
    `${(outsidePasses * 100).toFixed(1)} %`,
    `${(drafting * 100).toFixed(1)} %`,
    drafted === 0 ? "-" : `${((100 * wasted) / drafted).toFixed(0)} %`,
  ];
}
