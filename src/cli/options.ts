/** @file Options that several commands share, and the parsers that refuse what is not a number of the right kind. */

import { type Command, InvalidArgumentError, Option } from "commander";
import { embeddedModel } from "../checkpoint/embedded.ts";
import { defaultMethod, methodNames, parseMethod } from "../methods/registry.ts";

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** Parses a whole number within the range, both ends included. */
export function integer(range: Range = {}): (text: string) => number {
  return (text) => {
    const value = /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN;
    return checked(value, Number.isSafeInteger(value), "a whole number", range);
  };
}

/** Parses a finite number within the range, both ends included. */
export function decimal(range: Range = {}): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    return checked(value, Number.isFinite(value), "a number", range);
  };
}

function checked(value: number, valid: boolean, kind: string, { min, max }: Range): number {
  if (valid && value >= (min ?? -Infinity) && value <= (max ?? Infinity)) return value;
  const bounds =
    min !== undefined && max !== undefined
      ? ` from ${min} to ${max}`
      : min !== undefined
        ? ` of at least ${min}`
        : max !== undefined
          ? ` of at most ${max}`
          : "";
  throw new InvalidArgumentError(`It must be ${kind}${bounds}.`);
}

/** Parses `a,b,c`; nothing may be empty or given twice. */
export function list<T>(parse: (text: string) => T): (text: string) => T[] {
  return (text) => {
    const parts = text.split(",").map((part) => part.trim());
    if (parts.some((part) => part === "")) throw new InvalidArgumentError("It must be a list such as a,b,c.");
    if (new Set(parts).size < parts.length) throw new InvalidArgumentError("Something in it is given twice.");
    return parts.map(parse);
  };
}

/** Adds `value` to those given before: for options that may be repeated. */
export function collect(value: string, before: readonly string[] | undefined): string[] {
  return [...(before ?? []), value];
}

/** Refuses what is not the name of a method. */
export function methodName(text: string): string {
  try {
    parseMethod(text);
  } catch (error) {
    throw new InvalidArgumentError(`The ${(error as RangeError).message}.`);
  }
  return text;
}

/** What names a model. */
export const MODEL = "a GGUF file, a name in the cache, or one on the hub: hf:owner/repo:Q4_K_M";

const MAX_SEED = 2 ** 32 - 1;

/** Fresh option objects, since commander keeps state in them. */
export const shared = {
  model: () =>
    new Option("-m, --model <model>", `${MODEL}; the default is small and tells short stories`).default(
      embeddedModel,
    ),
  threads: () =>
    new Option("--threads <n>", "threads (default: one for each core)").argParser(
      integer({ min: 1, max: 64 }),
    ),
  weights: () =>
    new Option(
      "--weights <kind>",
      "how to keep weights: file, with the file's values; q4, with 4 bits where it has more (default: file)",
    ).choices(["file", "q4"]),
  method: () =>
    new Option(
      "--method <name>",
      `how to draft: ${methodNames().join(", ")} (default: ${defaultMethod})`,
    ).argParser(methodName),
  /** For commands that go on from earlier use. */
  warmStart: () =>
    new Option(
      "--no-warm-start",
      "neither start with what earlier use of the model has learnt nor keep what this one learns",
    ),
  /** For commands that wait for what they are asked. */
  warmUp: () =>
    new Option(
      "--no-warm-up",
      "do not write texts for nobody while nothing is asked, which makes the first answers faster",
    ),
  /** For commands that save it again. */
  keptState: () =>
    new Option(
      "--state <file>",
      "keep here, not in the cache folder, what the method learns; start with it when the file exists",
    ),
  /** For commands that only start with it. */
  state: () =>
    new Option("--state <file>", "start with what a method had learnt, as generate and chat keep it"),
  maxTokens: () =>
    new Option("-n, --max-tokens <n>", "most tokens to generate").argParser(integer({ min: 1 })),
  temperature: () =>
    new Option("-t, --temperature <t>", "0 takes the most likely token, more takes chances")
      .argParser(decimal({ min: 0, max: 100 }))
      .default(0),
  seed: () =>
    new Option("--seed <n>", "the same seed gives the same text")
      .argParser(integer({ min: 0, max: MAX_SEED }))
      .default(0),
  budget: () =>
    new Option(
      "--budget <n>",
      "most nodes of a draft tree, its root included (default: chosen by cost)",
    ).argParser(integer({ min: 1 })),
  json: () => new Option("--json", "print one JSON object as the last line"),
};

/** The options of commands that draft: the model, what drafts beside it, and how it runs. */
export function addModel(command: Command): Command {
  return command
    .addOption(shared.model())
    .option("--draft-model <model>", "a smaller model of the same vocabulary, to draft with")
    .option(
      "--head <file>",
      "a draft head trained for the model, to draft with (method eagle); none (default: the model's own, if it comes with Espalier)",
    )
    .option(
      "--exit <file>",
      "an exit block trained for the model, to draft with behind its first layers (method eesd); none (default: the model's own, if it comes with Espalier)",
    )
    .option(
      "--ldlp <file>",
      "a length predictor trained for the head, for method adaeagle (default: the one beside the head, if there is one)",
    )
    .option(
      "--datastore <file>",
      "texts to retrieve from, built with the model's tokenizer (method rasd or retrieval)",
    )
    .addOption(shared.threads())
    .option(
      "--context <n>",
      "most tokens of prompt and answer together (default: what the model was trained for)",
      integer({ min: 2 }),
    )
    .addOption(shared.weights());
}
