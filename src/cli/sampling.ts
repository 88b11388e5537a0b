/** @file The sampling options of `generate` and `chat`; their names are those of a request. */

import type { Command } from "commander";
import type { SamplingOptions } from "../session/api.ts";
import { collect, decimal, integer, shared } from "./options.ts";

/** Options as commander hands them over. */
export interface Sampling extends SamplingOptions {
  readonly stop?: readonly string[];
}

export function addSampling(command: Command): Command {
  return command
    .addOption(shared.temperature())
    .option("--top-k <n>", "sample from the n most likely tokens", integer({ min: 0 }))
    .option(
      "--top-p <p>",
      "sample from the likeliest tokens that have this probability together",
      decimal({ min: 0, max: 1 }),
    )
    .option(
      "--min-p <p>",
      "leave out tokens less likely than p times the likeliest",
      decimal({ min: 0, max: 1 }),
    )
    .option("--repetition-penalty <x>", "above 1, makes tokens of the text less likely", decimal({ min: 0 }))
    .option("--frequency-penalty <x>", "taken from a token's logit each time it was generated", decimal())
    .option("--presence-penalty <x>", "taken from a token's logit once it was generated", decimal())
    .addOption(shared.seed())
    .option("--stop <text>", "end before this text; may be given several times", collect);
}

/** The sampling options that were given, as part of a request. */
export function samplingOf(options: Sampling): Sampling {
  const names = [
    "temperature",
    "topK",
    "topP",
    "minP",
    "repetitionPenalty",
    "frequencyPenalty",
    "presencePenalty",
    "seed",
    "stop",
  ] as const;
  return Object.fromEntries(
    names.filter((name) => options[name] !== undefined).map((name) => [name, options[name]]),
  );
}
