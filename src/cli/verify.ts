/** @file `espalier verify`: the proof on real prompts that a method's text is the one of plain decoding. */

import type { Command } from "commander";
import type { Model } from "../session/model.ts";
import { interruptible } from "./interrupt.ts";
import { type Exit, FAILED, INTERRUPTED, type Io, writeJson } from "./io.ts";
import { loadStates, type ModelOptions, withModel } from "./model.ts";
import { addModel, integer, list, methodName, shared } from "./options.ts";
import { showProgress } from "./progress.ts";
import { PROMPT_FILES, type Prompt, readPrompts, spread } from "./prompts.ts";
import { type Answer, type Divergence, firstDifference, runPrompt, type TurnRequest } from "./transcript.ts";

interface Options extends ModelOptions {
  readonly prompts: readonly string[];
  readonly method?: readonly string[] | "all";
  readonly limit?: number;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly budget?: number;
}

/** What `verify --json` prints. */
interface Verdict {
  /** Prompts that every method has answered. */
  readonly prompts: number;
  /** Tokens of the plain answers to them. */
  readonly tokens: number;
  readonly equal: boolean;
  readonly firstDivergence: Divergence | null;
  /** Tokens per pass by method: 1 says that a method verified nothing but its roots. */
  readonly mat: Readonly<Record<string, number>>;
}

const EXAMPLES = `
Examples:
  espalier verify -m smollm2-135m --prompts prompts.jsonl
  espalier verify -m model.gguf --prompts chat.jsonl,code.jsonl --method all --temperature 0.8 --seed 7

${PROMPT_FILES}
Ends with exit code 1 when a single token differs.`;

export function addVerify(program: Command, io: Io, exit: Exit): void {
  addModel(
    program.command("verify").description("Check on real prompts that drafting does not change the text."),
  )
    .requiredOption("--prompts <files>", "prompt files (JSON Lines), separated by commas", list(String))
    .option(
      "--method <names>",
      "methods to check, separated by commas, or all (default: as generate has)",
      methodList,
    )
    .option("--limit <n>", "at most n prompts of each file, spread over its categories", integer({ min: 1 }))
    .addOption(shared.maxTokens().default(128))
    .addOption(shared.temperature())
    .addOption(shared.seed())
    .addOption(shared.budget())
    .addOption(shared.state())
    .addOption(shared.json())
    .addHelpText("after", EXAMPLES)
    .action(async (options: Options) => {
      const files = await Promise.all(options.prompts.map(readPrompts));
      const prompts = files.flatMap((file) => spread(file, options.limit));
      const { verdict, interrupted } = await withModel(options, io, (model) =>
        interruptible(io, async (signal) => {
          const verdict = await verify(model, prompts, options, signal, io);
          return { verdict, interrupted: signal.aborted };
        }),
      );
      if (options.json) writeJson(verdict, io);
      else io.stdout.write(`${show(verdict)}\n`);
      if (!verdict.equal) exit(FAILED);
      else if (interrupted) exit(INTERRUPTED);
    });
}

function methodList(text: string): string[] | "all" {
  return text === "all" ? "all" : list(methodName)(text);
}

async function verify(
  model: Model,
  prompts: readonly Prompt[],
  options: Options,
  signal: AbortSignal,
  io: Io,
): Promise<Verdict> {
  const { method: names = [model.defaultMethod], maxTokens, temperature, seed, budget } = options;
  const methods = names === "all" ? model.methodNames.filter((name) => name !== "plain") : names;
  for (const method of methods) model.method(method);
  const request: TurnRequest = {
    maxTokens,
    temperature,
    seed,
    signal,
    ...(budget === undefined ? {} : { budget }),
  };
  await loadStates(model, options.state, methods);
  const progress = showProgress("verify", prompts.length, io);
  const counts = new Map(methods.map((method) => [method, { tokens: 0, passes: 0 }]));
  let done = 0;
  let tokens = 0;
  let firstDivergence: Divergence | null = null;
  try {
    for (const prompt of prompts) {
      const plain = await runPrompt(model, prompt, { ...request, method: "plain" });
      for (const method of methods) {
        if (signal.aborted) break;
        const drafted = await runPrompt(model, prompt, { ...request, method });
        if (signal.aborted) break;
        const count = counts.get(method)!;
        count.tokens += tokensOf(drafted);
        count.passes += drafted.reduce((sum, answer) => sum + answer.stats.passes, 0);
        const difference = firstDifference(plain, drafted);
        if (difference !== undefined) firstDivergence ??= { prompt: prompt.id, ...difference, method };
      }
      if (signal.aborted) break;
      done++;
      tokens += tokensOf(plain);
      progress.update(done, prompt.id);
    }
  } finally {
    progress.stop();
  }
  const used = [...counts].filter(([, { passes }]) => passes > 0);
  const mat = Object.fromEntries(used.map(([method, count]) => [method, count.tokens / count.passes]));
  return { prompts: done, tokens, equal: firstDivergence === null, firstDivergence, mat };
}

function tokensOf(answers: readonly Answer[]): number {
  return answers.reduce((sum, answer) => sum + answer.tokens.length, 0);
}

function show({ prompts, tokens, firstDivergence, mat }: Verdict): string {
  const methods = Object.entries(mat).map(([method, value]) => `${method} (MAT ${value.toFixed(2)})`);
  const size = `${prompts} prompts, ${tokens} tokens, ${methods.join(", ") || "nothing"} against plain`;
  if (firstDivergence === null) return `equal: ${size}`;
  const { prompt, turn, position, expected, got, method } = firstDivergence;
  const where = `prompt "${prompt}", turn ${turn}, token ${position} of the answer`;
  const name = (token: number | null) => (token === null ? "the end" : `token ${token}`);
  return `NOT EQUAL: ${size}\nfirst at ${where}: ${method} gives ${name(got)}, plain ${name(expected)}`;
}
