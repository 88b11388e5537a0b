/**
 * @file `npm run bench:rasd -- --model M --prompts F,G`: a drafter alone, retrieval alone, their union, and RASD, by category. They take turns
 * prompt by prompt with the same number of nodes, and write the same text. With --answers, what the model answers is written to a file as
 * JSON Lines instead, of which `espalier datastore build` makes a store of the domain of these prompts.
 */

import { writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { readPrompts, spread } from "../../dist/cli/prompts.js";
import { table } from "../../dist/cli/table.js";
import { firstDifference, runPrompt } from "../../dist/cli/transcript.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel, openDatastore } from "../../dist/index.js";
import { contenders } from "./contenders.mjs";

const USAGE = `usage: npm run bench:rasd -- --model M [--head FILE] --prompts FILES [--limit N] [--max-tokens N] [--budgets N,N]
  [--firsts K,K] [--datastore FILE] [--answers FILE] [--methods NAME;NAME] [--timed]`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      head: { type: "string" },
      prompts: { type: "string" },
      limit: { type: "string", default: "13" },
      "max-tokens": { type: "string", default: "64" },
      budgets: { type: "string", default: "8,16" },
      firsts: { type: "string", default: "16" },
      datastore: { type: "string" },
      answers: { type: "string" },
      methods: { type: "string" },
      threads: { type: "string" },
      timed: { type: "boolean", default: false },
    },
  });
  for (const name of ["model", "prompts"]) {
    if (values[name] === undefined) throw new TypeError(`--${name} is missing; ${USAGE}`);
  }
  const numbers = (name) =>
    values[name].split(",").map((text) => {
      if (/^[1-9]\d*$/.test(text)) return Number(text);
      throw new RangeError(`--${name} is ${values[name]}; give whole numbers of at least 1`);
    });
  return {
    ...values,
    prompts: values.prompts.split(","),
    methods: values.methods?.split(";"),
    limit: numbers("limit")[0],
    maxTokens: numbers("max-tokens")[0],
    budgets: numbers("budgets"),
    firsts: numbers("firsts"),
  };
}

const FIELDS = ["tokens", "passes", "nodes", "decodeMs", "draftMs"];

/** Sums by category and method. */
class Sums {
  #byCategory = new Map();

  add(category, method, answers) {
    for (const name of [category, "all"]) {
      const methods = this.#byCategory.get(name) ?? new Map();
      const sums = methods.get(method) ?? {
        ...Object.fromEntries(FIELDS.map((field) => [field, 0])),
        speeds: [],
      };
      for (const { stats } of answers) for (const field of FIELDS) sums[field] += stats[field];
      const total = (field) => answers.reduce((sum, { stats }) => sum + stats[field], 0);
      sums.speeds.push((1000 * total("tokens")) / total("decodeMs"));
      this.#byCategory.set(name, methods.set(method, sums));
    }
  }

  print(methods, timed) {
    const rows = (title, of) => {
      const head = [title, ...methods];
      const body = [...this.#byCategory].map(([category, by]) => [
        category,
        ...methods.map((name) => of(by.get(name), name, by)),
      ]);
      console.log(`${table([head, ...body], { numbersFrom: 1 })}\n`);
    };
    rows("MAT", ({ tokens, passes }) => (tokens / passes).toFixed(2));
    rows("drafting, us a pass", ({ draftMs, passes }) => ((1000 * draftMs) / passes).toFixed(0));
    rows("nodes a pass", ({ nodes, passes }) => (nodes / passes).toFixed(1));
    if (!timed) return;
    rows("tokens/s", ({ tokens, decodeMs }) => ((1000 * tokens) / decodeMs).toFixed(0));
    rows("by prompt: quartiles", ({ speeds }) =>
      [0.25, 0.5, 0.75].map((part) => quantile(speeds, part).toFixed(0)).join(" "),
    );
    for (const base of [methods[0], ...methods.filter((name) => name.endsWith(", no store"))]) {
      rows(`over ${base}, by prompt`, (_, name, by) =>
        [0.25, 0.5, 0.75]
          .map((part) =>
            quantile(
              by.get(name).speeds.map((speed, i) => speed / by.get(base).speeds[i]),
              part,
            ).toFixed(2),
          )
          .join(" "),
      );
    }
  }
}

function quantile(values, part) {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(part * (sorted.length - 1))];
}

async function writeAnswers(model, prompts, { answers: file, maxTokens }) {
  const lines = [];
  for (const prompt of prompts) {
    const answers = await runPrompt(model, prompt, { maxTokens });
    lines.push(...answers.map(({ text }) => `${JSON.stringify({ text })}\n`));
    process.stderr.write(`\r${lines.length} answers `);
  }
  await writeFile(file, lines.join(""));
  process.stderr.write("\n");
}

/** Those of the names, if any are given. */
function chosen(methods, names) {
  for (const name of names ?? [])
    if (!methods.has(name))
      throw new RangeError(`--methods has "${name}"; here are ${[...methods.keys()].join("; ")}`);
  return names === undefined ? methods : new Map(names.map((name) => [name, methods.get(name)]));
}

async function measure(model, prompts, options, budget) {
  const { maxTokens, firsts, timed, store } = options;
  const methods = chosen(contenders(model, firsts, store), options.methods);
  const own = model.method.bind(model);
  model.method = (name) => (methods.has(name) ? { ...own("plain"), method: methods.get(name) } : own(name));
  const names = [...(timed ? ["plain"] : []), ...methods.keys()];
  const sums = new Sums();
  let expected;
  for (const [index, prompt] of prompts.entries()) {
    process.stderr.write(`\r${budget} nodes: ${index + 1} of ${prompts.length} `);
    for (const [turn] of names.entries()) {
      const name = names[(turn + index) % names.length];
      const answers = await runPrompt(model, prompt, { method: name, budget, maxTokens });
      if (turn === 0) expected = answers;
      else if (firstDifference(expected, answers))
        throw new Error(`${prompt.id}: ${name} wrote another text`);
      sums.add(prompt.category, name, answers);
    }
  }
  process.stderr.write("\n");
  console.log(`${budget} nodes, root included`);
  sums.print(names, timed);
  delete model.method;
}

async function main() {
  const options = readOptions();
  const files = await Promise.all(options.prompts.map(readPrompts));
  const prompts = files.flatMap((file) => spread(file, options.limit));
  // Without times nothing stops a draft early, and the same run gives the same figures.
  const model = await loadModel(await findModel(options.model), {
    ...(options.head && { head: options.head }),
    ...(options.threads && { threads: Number(options.threads) }),
    ...(options.timed ? {} : { passTimes: false }),
  });
  if (options.answers) {
    await writeAnswers(model, prompts, options);
  } else {
    console.log(
      `${model.name}, ${prompts.length} prompts, ${options.maxTokens} tokens each, ${cpus()[0].model}, ${commit()}\n`,
    );
    const { fingerprint } = model.parts.tokenizer;
    const store = options.datastore && (await openDatastore(options.datastore, fingerprint));
    for (const budget of options.budgets) await measure(model, prompts, { ...options, store }, budget);
    store?.close();
  }
  await model[Symbol.asyncDispose]();
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:rasd: ${error.message}\n`);
  process.exitCode = 1;
}
