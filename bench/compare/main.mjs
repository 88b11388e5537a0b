/**
 * @file `npm run bench:compare -- --model M`: Espalier's methods beside node-llama-cpp and, where they are named, transformers.js and
 * ik_llama.cpp, on the same file and prompts, in turns. docs/benchmarks.md says how it is read.
 */

import { writeFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { parseArgs } from "node:util";
import { embeddedDraftModel, embeddedModel } from "../../dist/checkpoint/embedded.js";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { compiled } from "./compiled.mjs";
import { Contenders } from "./contenders.mjs";
import { countOf, decimalOf, listOf, oneOf, rangeOf, readShared, shared } from "./options.mjs";
import { choosePrompts, readCategories } from "./prompts.mjs";
import { openReader } from "./reader.mjs";
import { describeRun, openResults, placeOf, readResults } from "./results.mjs";
import { runRounds, warmUp } from "./rounds.mjs";

const USAGE = `usage: npm run bench:compare -- --model M [--draft-model D] [--methods a,b|all] [--prompts 12] [--tokens 128] [--minutes 20]
  [--categories a,b] [--data FOLDER | --files F,G] [--llama plain,lookup,draft|none] [--lookup-pattern 1-3] [--lookup-prediction 1-1]
  [--draft-tokens 1-4] [--draft-confidence 0.6] [--transformers FOLDER [--transformers-dtype q4]] [--ik LLAMA-SERVER [--ik-args "-rtr"]]
  [--threads 2] [--weights file|q4] [--head FILE|none] [--exit FILE|none] [--featured METHOD] [--busy PERCENT] [--warm-up SECONDS] [--out NAME]
  or: npm run bench:compare -- --render A.jsonl,B.jsonl [--featured METHOD] [--busy PERCENT] [--out NAME]`;
const MODES = ["plain", "lookup", "draft"];

function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      ...shared,
      model: { type: "string", short: "m" },
      "draft-model": { type: "string" },
      prompts: text("12"),
      tokens: text("128"),
      minutes: text("20"),
      files: { type: "string" },
      llama: { type: "string" },
      "lookup-pattern": text("1-3"),
      "lookup-prediction": text("1-1"),
      "draft-tokens": text("1-4"),
      "draft-confidence": text("0.6"),
      transformers: { type: "string" },
      "transformers-dtype": text("q4"),
      ik: { type: "string" },
      "ik-args": text("-rtr"),
      help: { type: "boolean", default: false },
    },
  });
  if (values.model === undefined && values.render === undefined)
    throw new TypeError(`--model is missing; ${USAGE}`);
  const { transformers, ik, files, llama } = values;
  return {
    ...readShared(values),
    prompts: countOf("prompts", values.prompts),
    maxTokens: countOf("tokens", values.tokens),
    files: files && listOf("files", files),
    llama:
      llama === undefined
        ? undefined
        : llama === "none"
          ? []
          : listOf("llama", llama).map((mode) => oneOf("llama", mode, MODES)),
    lookup: {
      pattern: rangeOf("lookup-pattern", values["lookup-pattern"], 1),
      prediction: rangeOf("lookup-prediction", values["lookup-prediction"], 1),
    },
    draft: {
      tokens: rangeOf("draft-tokens", values["draft-tokens"], 0),
      confidence: decimalOf("draft-confidence", values["draft-confidence"]),
    },
    transformers: transformers && { folder: resolve(transformers), dtype: values["transformers-dtype"] },
    ik: ik && { binary: resolve(ik), args: values["ik-args"].split(/\s+/).filter((arg) => arg !== "") },
  };
}

/** Paths of the model and of what drafts for it, and the modes of node-llama-cpp that follow from that. */
async function findModels(options) {
  const draftName =
    options["draft-model"] ?? (options.model === embeddedModel ? embeddedDraftModel : undefined);
  const draftModel = draftName && (await findModel(draftName));
  const llama = options.llama ?? MODES.filter((mode) => mode !== "draft" || draftModel !== undefined);
  if (llama.includes("draft") && draftModel === undefined)
    throw new RangeError("--llama has draft; give --draft-model, a model to draft with");
  return { ...options, model: await findModel(options.model), draftModel, llama };
}

async function run(given) {
  const options = await findModels(given);
  const { maxTokens, seed, minutes } = options;
  const chosen = choosePrompts(await readCategories(options), options.prompts);
  const contenders = new Contenders();
  try {
    const { contextLength, commit } = await contenders.startOwn(options.methods, options);
    const reader = await openReader(options.model);
    const prompts = [];
    for (const prompt of chosen) {
      const { category, id, kind, system, turns } = prompt;
      const tokens = reader.prompt({ kind, system, text: turns[0] });
      if (tokens.length + maxTokens <= contextLength)
        prompts.push({ category, id, tokens, temperature: 0, context: null });
      else
        process.stderr.write(
          `left out: ${id} has ${tokens.length} tokens, too many for a context of ${contextLength}\n`,
        );
    }
    if (prompts.length === 0)
      throw new RangeError("no prompt fits into the model's context; give others by --files");
    await contenders.startPeers(
      reader,
      options,
      maxTokens + Math.max(...prompts.map(({ tokens }) => tokens.length)),
    );
    const { workers } = contenders;
    const place = placeOf(options.out, basename(options.model, ".gguf"));
    const results = openResults(`${place}.jsonl`, describeRun(options, contenders.describe(), commit));
    await warmUp(workers, reader, options.warmUpMs);
    const deadline = performance.now() + 60_000 * minutes;
    await runRounds(workers, reader, prompts, { maxTokens, seed, deadline, results });
    return { place, results };
  } finally {
    contenders.close();
  }
}

async function main() {
  const options = readOptions();
  if (options.help) {
    process.stdout.write(`${USAGE}\n`);
    return;
  }
  const { comparisonText } = await compiled("comparison");
  const { comparisonChart } = await compiled("comparison-chart");
  const { unequal } = await compiled("conditions");
  const { place, results } =
    options.render === undefined
      ? await run(options)
      : {
          place: options.out && placeOf(options.out),
          results: readResults(listOf("render", options.render)),
        };
  const text = comparisonText(results, options.featured, options.busy);
  process.stdout.write(`${text}\n`);
  if (place !== undefined) {
    writeFileSync(`${place}.md`, `${text}\n`);
    writeFileSync(`${place}.svg`, comparisonChart(results, options.featured, options.busy));
    process.stderr.write(`written: ${place}.jsonl (unless only rendered), .md and .svg\n`);
  }
  if (unequal(results.runs, results.rounds).length > 0) process.exitCode = 1;
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:compare: ${error.message}\n`);
  process.exitCode = 1;
}
