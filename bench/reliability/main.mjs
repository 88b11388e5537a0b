/**
 * @file `npm run bench:reliability -- --model M --prompts FILES`: whether what drafters say of their guesses is true. Each method decodes the
 * prompts with trees of a fixed number of nodes; of every node whose parent was accepted, the probability that it was drafted with and
 * whether it was accepted are counted, by who proposed it. Times do not matter, so the same command gives the same figures.
 */

import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { readPrompts } from "../../dist/cli/prompts.js";
import { runPrompt } from "../../dist/cli/transcript.js";
import { commit } from "../../dist/cli/version.js";
import { loadModel, openDatastore } from "../../dist/index.js";
import { Model } from "../../dist/session/model.js";
import { compiled } from "../compiled.mjs";

const USAGE = `usage: npm run bench:reliability -- [--model M] [--head FILE] [--exit FILE] [--draft-model D] --prompts FILES [--method NAMES]
  [--steps N] [--first N] [--budget N] [--max-tokens N] [--temperature T] [--state FILE] [--datastore FILE] [--diagram]`;

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      head: { type: "string" },
      exit: { type: "string" },
      "draft-model": { type: "string" },
      datastore: { type: "string" },
      prompts: { type: "string" },
      method: { type: "string" },
      steps: { type: "string", default: "2000" },
      first: { type: "string", default: "200" },
      budget: { type: "string", default: "8" },
      "max-tokens": { type: "string", default: "128" },
      temperature: { type: "string", default: "0" },
      state: { type: "string" },
      diagram: { type: "boolean", default: false },
    },
  });
  if (values.prompts === undefined) throw new TypeError(`--prompts is missing; ${USAGE}`);
  const whole = (name) => {
    if (/^[1-9]\d*$/.test(values[name])) return Number(values[name]);
    throw new RangeError(`--${name} is ${values[name]}; give a whole number of at least 1`);
  };
  return {
    ...values,
    prompts: values.prompts.split(","),
    methods: values.method?.split(","),
    steps: whole("steps"),
    first: whole("first"),
    budget: whole("budget"),
    maxTokens: whole("max-tokens"),
    temperature: Number(values.temperature),
  };
}

/** One of each category in turn, so that every part of a run has some of all. */
function mixed(prompts) {
  const categories = new Set(prompts.map(({ category }) => category));
  const byCategory = [...categories].map((name) => prompts.filter(({ category }) => category === name));
  const longest = Math.max(...byCategory.map((row) => row.length));
  return Array.from({ length: longest }, (_, at) => byCategory.flatMap((row) => row[at] ?? [])).flat();
}

/** Decodes prompts until there are twice `steps` steps, or no more prompts. */
async function measure(parts, method, prompts, options, Ledger) {
  const { first, steps, budget, maxTokens, temperature, state } = options;
  // Nothing is learnt from other methods' steps.
  const model = new Model(parts);
  if (state !== undefined) await model.loadState(state, method);
  const ledger = new Ledger(first, steps);
  const onStep = (step) => ledger.add(step);
  for (const [seed, prompt] of prompts.entries()) {
    if (ledger.steps >= 2 * steps) break;
    process.stderr.write(`\r${method}: ${ledger.steps} steps `);
    await runPrompt(model, prompt, { method, budget, maxTokens, temperature, seed, onStep });
  }
  process.stderr.write("\r\x1b[K");
  return ledger;
}

const HEAD = [
  "method",
  "proposed by",
  "ECE first",
  "while it learns",
  "nodes",
  "said",
  "accepted",
  "ECE after",
  "by chance",
];

function rowsOf(method, ledger) {
  const figure = (value) => (Number.isNaN(value) ? "–" : value.toFixed(3));
  return ledger.entries.map(([proposers, { first, learning, learnt }]) => [
    method,
    proposers,
    figure(first.error),
    figure(learning.error),
    String(learnt.guesses),
    ...[learnt.said, learnt.right, learnt.error, learnt.chance].map(figure),
  ]);
}

/** By bin: what was said, what came, and a bar of it; `|` stands where what was said is. */
function diagram(name, { bins }) {
  const width = 45;
  const lines = bins.flatMap((bin, i) => {
    if (bin === undefined) return [];
    const { guesses, said, right } = bin;
    const bar = [..."█".repeat(Math.round(right * width)).padEnd(width + 1)];
    bar[Math.round(said * width)] = "|";
    const range = `${(i / bins.length).toFixed(2)}-${((i + 1) / bins.length).toFixed(2)}`;
    const figures = [said, right].map((value) => value.toFixed(3)).join("  ");
    return `${range}  ${String(guesses).padStart(6)}  ${figures}  ${bar.join("").trimEnd()}`;
  });
  return [name, "said        nodes   said  accepted", ...lines].join("\n");
}

async function main() {
  const options = readOptions();
  const compiledFile = compiled(import.meta.dirname);
  const [{ Ledger }, { BINS }] = await Promise.all(["periods", "reliability"].map(compiledFile));
  const files = await Promise.all(options.prompts.map(readPrompts));
  const prompts = mixed(files.flat());
  const given = { head: options.head, exit: options.exit };
  if (options["draft-model"]) given.draftModel = await findModel(options["draft-model"]);
  const known = Object.entries(given).filter(([, value]) => value !== undefined);
  // Without times nothing stops a draft early, and the same run gives the same figures.
  const loaded = await loadModel(options.model && (await findModel(options.model)), {
    ...Object.fromEntries(known),
    passTimes: false,
  });
  const { fingerprint } = loaded.parts.tokenizer;
  const datastore = options.datastore && (await openDatastore(options.datastore, fingerprint));
  const parts = { ...loaded.parts, ...(datastore && { datastore }) };
  const drafting = loaded.methodNames.filter((name) => name !== "plain");
  const { steps, first, budget, temperature } = options;

  const rows = [];
  const diagrams = [];
  for (const method of options.methods ?? drafting) {
    const ledger = await measure(parts, method, prompts, options, Ledger);
    rows.push(...rowsOf(method, ledger));
    if (ledger.steps < 2 * steps)
      process.stderr.write(
        `${method}: the prompts gave only ${ledger.steps} steps; give more, or a smaller --steps\n`,
      );
    for (const [proposers, { learnt }] of ledger.entries)
      if (options.diagram) diagrams.push(diagram(`${method}: ${proposers}`, learnt));
  }
  datastore?.close();
  await loaded[Symbol.asyncDispose]();

  console.log(
    `${loaded.name}, temperature ${temperature}, ${budget} nodes a tree with its root, ${prompts.length} prompts, ${options.maxTokens} tokens an answer, ${commit()}`,
  );
  console.log(
    `ECE in ${BINS} bins of equal width, by nodes whose parents were accepted: of the first ${first} steps, of the first ${steps}, and of as many after them, to which the other figures belong, too\n`,
  );
  const lines = [HEAD, HEAD.map((_, i) => (i < 2 ? "---" : "---:")), ...rows];
  for (const line of lines) console.log(`| ${line.join(" | ")} |`);
  for (const text of diagrams) console.log(`\n${text}`);
}

try {
  await main();
} catch (error) {
  process.stderr.write(`bench:reliability: ${error.message}\n`);
  process.exitCode = 1;
}
