/**
 * @file `npm run bench:never-slower`: one method (auto) against plain decoding and against each single method, over a grid of categories,
 * temperatures and contexts, with prompts among them that nobody can guess. docs/benchmarks.md says how it is read.
 */

import { writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { embeddedDraftModel, embeddedModel } from "../../dist/checkpoint/embedded.js";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { compiled } from "./compiled.mjs";
import { Contenders } from "./contenders.mjs";
import { countOf, decimalOf, listOf, numbersOf, readShared, shared } from "./options.mjs";
import { CATEGORIES, readCategories } from "./prompts.mjs";
import { openReader } from "./reader.mjs";
import { describeRun, openResults, placeOf, readResults } from "./results.mjs";
import { runRounds, warmUp } from "./rounds.mjs";

const { ADVERSARIAL, adversarialPrompt } = await compiled("adversarial");
const { cellKey, cellsOf, contextsWithin, filledPrompt } = await compiled("cells");
const { gridText, verdicts } = await compiled("grid");
const { featuredMethod } = await compiled("comparison");
const { CONTROL } = await compiled("figures");
const { ownOf, unequal } = await compiled("conditions");

const USAGE = `usage: npm run bench:never-slower -- [--models smollm2-135m,espalier-tiny] [--methods a,b|all] [--featured auto] [--prompts 3] [--again 6]
  [--tokens 128] [--contexts 100,1000,4000] [--temperatures 0,0.8] [--categories a,b] [--data FOLDER] [--minutes N] [--seed 1]
  [--threads 2] [--weights file|q4] [--head FILE|none] [--exit FILE|none] [--warm-up SECONDS] [--out NAME]
  or: npm run bench:never-slower -- --render A.jsonl [--featured METHOD] [--busy PERCENT]
  The categories are ${[...CATEGORIES, ...ADVERSARIAL].join(", ")}.`;

/** What is compared unless `--featured` says otherwise. */
const FEATURED = "auto";

function readOptions() {
  const text = (value) => ({ type: "string", default: value });
  const { values } = parseArgs({
    options: {
      ...shared,
      models: text(`smollm2-135m,${embeddedModel}`),
      prompts: text("3"),
      again: text("6"),
      tokens: text("128"),
      contexts: text("100,1000,4000"),
      temperatures: text("0,0.8"),
      help: { type: "boolean", default: false },
    },
  });
  const options = readShared(values);
  const { methods, featured = FEATURED, render } = options;
  if (render === undefined && Array.isArray(methods) && !methods.includes(featured)) {
    throw new RangeError(
      `--methods is ${methods.join(",")}; add ${featured}, which is compared with the others, or name another one with --featured`,
    );
  }
  return {
    ...options,
    models: listOf("models", values.models),
    prompts: countOf("prompts", values.prompts),
    again: countOf("again", values.again, 0),
    maxTokens: countOf("tokens", values.tokens),
    contexts: numbersOf("contexts", values.contexts),
    temperatures: numbersOf("temperatures", values.temperatures, decimalOf),
  };
}

/** Makes prompts: the `k`-th of a cell, which no other cell has as long as there are enough. */
async function promptMaker(reader, cells, options) {
  const { prompts: most, again, categories = [...CATEGORIES, ...ADVERSARIAL], seed } = options;
  const natural = categories.filter((name) => !ADVERSARIAL.includes(name));
  const rows = natural.length === 0 ? new Map() : await readCategories({ ...options, categories: natural });
  const vocabulary = reader.textTokens();
  const encode = async (text) => reader.tokens(text);
  const read = new Map();
  const tokensOf = (category) => {
    if (!read.has(category)) {
      const all = rows.get(category).map(({ id, kind, system, turns: [text] }) => {
        return { id, tokens: reader.prompt({ kind, system, text }) };
      });
      read.set(category, all);
    }
    return read.get(category);
  };
  return async (cell, k) => {
    const { category, context } = cell;
    const place = cells.filter((other) => other.category === category).indexOf(cell) * (most + again) + k;
    if (ADVERSARIAL.includes(category)) {
      const tokens = await adversarialPrompt(category, context, seed + place, { vocabulary, encode });
      return { ...cell, id: `${category}-${seed + place}`, tokens };
    }
    const all = tokensOf(category);
    const from = all.map((_, i) => all[(place + i) % all.length]);
    return {
      ...cell,
      id: from[0].id,
      tokens: filledPrompt(
        from.map(({ tokens }) => tokens),
        context,
      ),
    };
  };
}

async function measure(name, options) {
  const model = await findModel(name);
  const draftModel = name === embeddedModel ? await findModel(embeddedDraftModel) : undefined;
  const { maxTokens, minutes, prompts, again, categories = [...CATEGORIES, ...ADVERSARIAL] } = options;
  const contenders = new Contenders();
  try {
    const { contextLength, commit } = await contenders.startOwn(
      options.methods,
      { ...options, model, draftModel },
      CONTROL,
    );
    const { workers } = contenders;
    const reader = await openReader(model);
    const contexts = contextsWithin(options.contexts, contextLength, maxTokens);
    const cells = cellsOf(categories, options.temperatures, contexts);
    const make = await promptMaker(reader, cells, options);
    const place = placeOf(
      options.out && `${options.out}-${basename(model, ".gguf")}`,
      `never-slower-${basename(model, ".gguf")}`,
    );
    const run = describeRun({ ...options, model, draftModel }, contenders.describe(), commit);
    const results = openResults(`${place}.jsonl`, run);
    const featured = featuredMethod(ownOf(run.contenders), options.featured);
    await warmUp(workers, reader, options.warmUpMs);
    const runs = { ...options, deadline: performance.now() + 60_000 * minutes, results };
    const promptsOf = async (some, from, to) => {
      const made = [];
      for (let k = from; k < to; k++) for (const cell of some) made.push(await make(cell, k));
      return made;
    };
    await runRounds(workers, reader, await promptsOf(cells, 0, prompts), runs);
    const flagged = new Set(
      verdicts(results, featured, options.busy)
        .filter(({ slower, behind }) => slower !== "no" || behind !== "no")
        .map(cellKey),
    );
    process.stderr.write(`${flagged.size} cells get ${again} more prompts\n`);
    const some = cells.filter((cell) => flagged.has(cellKey(cell)));
    await runRounds(workers, reader, await promptsOf(some, prompts, prompts + again), runs);
    return { place, results };
  } finally {
    contenders.close();
  }
}

function report({ place, results }, { featured, busy }) {
  const text = gridText(results, featured, busy);
  process.stdout.write(`${text}\n\n`);
  if (place !== undefined) writeFileSync(`${place}.md`, `${text}\n`);
  if (unequal(results.runs, results.rounds).length > 0) process.exitCode = 1;
}

try {
  const options = readOptions();
  if (options.help) process.stdout.write(`${USAGE}\n`);
  else if (options.render !== undefined)
    report({ results: readResults(listOf("render", options.render)) }, options);
  else for (const name of options.models) report(await measure(name, options), options);
} catch (error) {
  process.stderr.write(`bench:never-slower: ${error.message}\n`);
  process.exitCode = 1;
}
