/**
 * @file `npm run bench:eesd -- --model M --exit FILE[,FILE …]`: drafting with a target's first layers, by where they end and by who says when
 * to stop, beside the draft head of the same model. Sums (GSM8K), code (HumanEval), chats (MT-bench) and summaries (Spec-Bench), unless --files
 * names other prompts; every method takes its turn on every prompt, and texts are compared. An oracle needs a trace: `npm run bench:replay -- --record --model M --exit FILE`.
 */

import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

const USAGE = `usage: npm run bench:eesd -- --model M --exit FILE[,FILE ...] [--methods a,b] [--data FOLDER | --files FILE[,FILE ...]] [--prompts N] [--max-tokens N]
  [--budget N | --planned] [--head FILE] [--json FILE]
  A tree has at most --budget nodes (12), and its rule alone says how long it is; --planned: the plan may cut it, or leave it out.`;
const LENGTHS = [1, 2, 3, 4, 5, 6, 7, 8].map((length) => `eesd:${length}`);
const METHODS = [
  ...LENGTHS,
  "eesd:ddd",
  "eesd:beta-ts",
  "eesd",
  "eesd:cost-aware",
  "eesd:tree",
  "eagle",
  "chain:3",
];
/** Prompt files, and the one of their categories that is meant. */
const SETS = [["gsm8k"], ["humaneval"], ["mt_bench"], ["spec_bench", "summarization"]];
const root = join(import.meta.dirname, "../..");

function readOptions() {
  const { values } = parseArgs({
    options: {
      model: { type: "string", short: "m" },
      exit: { type: "string" },
      head: { type: "string" },
      methods: { type: "string", default: METHODS.join() },
      data: { type: "string", default: process.env.ESPALIER_DATA ?? join(root, "../shared/data") },
      files: { type: "string" },
      prompts: { type: "string", default: "4" },
      "max-tokens": { type: "string", default: "96" },
      budget: { type: "string", default: "12" },
      planned: { type: "boolean", default: false },
      json: { type: "string" },
    },
  });
  if (!values.model || !values.exit) throw new TypeError(`--model or --exit is missing; ${USAGE}`);
  return values;
}

/** Writes the chosen prompts of each set to a file of its own, under the set's name for a category. */
async function choosePrompts(folder, { data, files: given, prompts: most }) {
  const sets = given
    ? given.split(",").map((path) => [path])
    : SETS.map(([name, category]) => [join(data, `${name}.jsonl`), category]);
  const files = [];
  for (const [path, category] of sets) {
    const name = basename(path, ".jsonl");
    const lines = (await readFile(path, "utf8"))
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    const set = lines.filter((line) => category === undefined || line.category === category);
    const step = Math.max(1, Math.floor(set.length / most));
    const chosen = set.filter((_, at) => at % step === 0).slice(0, most);
    const file = join(folder, `${name}.jsonl`);
    await writeFile(
      file,
      chosen.map((line) => JSON.stringify({ ...line, category: category ?? name })).join("\n"),
    );
    files.push(file);
  }
  return files;
}

/** What `espalier bench` finds with one exit block. */
function measure(exit, files, options) {
  const { model, methods, head, planned, "max-tokens": maxTokens } = options;
  const budget = planned ? undefined : options.budget;
  const given = { model, exit, methods, head, budget, "max-tokens": maxTokens, prompts: files.join() };
  const args = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [`--${name}`, value],
  );
  const command = [join(root, "dist/cli/main.js"), "bench", ...args, "--json"];
  const output = execFileSync(process.execPath, command, {
    encoding: "utf8",
    maxBuffer: 1 << 26,
    stdio: ["ignore", "pipe", "inherit"],
  });
  return JSON.parse(output.trim().split("\n").at(-1));
}

function show(exit, { methods, categories, meanOverCategories, equal, firstDivergence, machine, commit }) {
  const sets = Object.keys(categories);
  const cells = ({ mat, tokensPerSecond }) =>
    `${mat.toFixed(2).padStart(6)} ${tokensPerSecond.toFixed(0).padStart(5)}`;
  console.log(`\n${basename(exit)}: MAT and tokens/s`);
  console.log(
    `${"method".padEnd(16)}${[...sets, "all"].map((set) => set.padStart(13)).join("")}  over plain (quartiles)  mean of sets  wasted`,
  );
  for (const [method, all] of Object.entries(methods)) {
    const { median, low, high } = all.overPlain;
    const wasted =
      all.drafted === 0 ? "-" : `${((100 * all.wasted) / all.drafted).toFixed(0)} % of ${all.drafted}`;
    const figures = [...sets.map((set) => categories[set][method]), all]
      .map((figure) => ` ${cells(figure)}`)
      .join("");
    console.log(
      `${method.padEnd(16)}${figures}  ${median.toFixed(2)} (${low.toFixed(2)}-${high.toFixed(2)})        ${meanOverCategories[method].toFixed(2)}          ${wasted}`,
    );
  }
  const { cpu, cores, threads, isa } = machine;
  console.log(
    equal
      ? "equal: every method gave plain decoding's tokens"
      : `NOT EQUAL: ${JSON.stringify(firstDivergence)}`,
  );
  console.log(`${cpu}, ${cores} cores, ${threads} threads, ${isa}, ${commit}`);
  return equal;
}

const options = readOptions();
const folder = await mkdtemp(join(tmpdir(), "espalier-eesd-"));
try {
  const files = await choosePrompts(folder, options);
  const results = {};
  for (const exit of options.exit.split(",")) {
    results[exit] = measure(exit, files, options);
    if (!show(exit, results[exit])) process.exitCode = 1;
  }
  if (options.json) await writeFile(options.json, `${JSON.stringify(results)}\n`);
} catch (error) {
  process.stderr.write(`bench:eesd: ${error.message}\n`);
  process.exitCode = 1;
} finally {
  await rm(folder, { recursive: true });
}
