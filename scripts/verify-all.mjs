/**
 * @file The lossless check at full length: every method against plain decoding, greedy and seeded, on prompts out of
 * every file of a folder of prompt files. What was checked at this commit already is not checked again, so an
 * interrupted run goes on where it was.
 *
 *   npm run verify:all -- [--model M] [--data DIR] [--per-file N] [--max-tokens N] [--sample]
 *
 * The folder is that of `--data`, else of ESPALIER_DATA, else ../shared/data. `--sample` is the short form for CI: few prompts, and the
 * methods take turns, so that each meets a part of the files, some greedy and some seeded.
 */

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    data: { type: "string", default: process.env.ESPALIER_DATA ?? join(root, "../shared/data") },
    "per-file": { type: "string" },
    "max-tokens": { type: "string" },
    sample: { type: "boolean", default: false },
  },
});
const perFile = values["per-file"] ?? (values.sample ? "2" : "18");
const maxTokens = values["max-tokens"] ?? (values.sample ? "32" : "64");
// Fixed budgets: the default one may find, on a busy machine, that nothing but roots is worth a pass.
const SAMPLINGS = [
  { name: "greedy", args: ["--budget", "8"] },
  { name: "seeded", args: ["--budget", "24", "--temperature", "0.8", "--seed", "1"] },
];
/** Of the sample: one method in so many is checked with a file and a sampling. */
const TURNS = 5;

if (!existsSync(values.data)) {
  fail(`no folder of prompt files at ${values.data}; name one with --data DIR or ESPALIER_DATA`);
}
if (!existsSync(join(root, "dist/cli/main.js"))) fail("there is no dist/; run npm run build first");
const { modelFolder } = await import("../dist/checkpoint/model-cache.js");
const { loadModel } = await import("../dist/index.js");
const files = readdirSync(values.data)
  .filter((file) => file.endsWith(".jsonl"))
  .sort();
if (files.length === 0) fail(`no .jsonl files in ${values.data}`);

const methods = await methodNames();
const notes = openNotes();
let prompts = 0;
let tokens = 0;
const unequal = [];
for (const [index, file] of files.entries()) {
  for (const [which, sampling] of SAMPLINGS.entries()) {
    const key = `${file} ${sampling.name}`;
    const known = notes.read(key);
    const turn = 3 * index + 2 * which;
    const some = values.sample ? methods.filter((_, i) => i % TURNS === turn % TURNS) : methods;
    const result = known ?? (await verify(join(values.data, file), some, sampling.args));
    if (result.equal) notes.write(key, result);
    else unequal.push(key);
    if (sampling === SAMPLINGS[0]) prompts += result.prompts;
    tokens += result.tokens;
    const verdict = result.equal ? "equal" : `NOT EQUAL ${JSON.stringify(result.firstDivergence)}`;
    const mat = Object.entries(result.mat).map(([method, value]) => `${method} ${value.toFixed(2)}`);
    const size = `${result.prompts} prompts, ${result.tokens} tokens, MAT ${mat.join(", ")}`;
    console.log(
      `${index + 1}/${files.length} ${key}: ${size}: ${verdict}${known ? " (checked before)" : ""}`,
    );
  }
}
console.log(
  `${prompts} prompts, greedy and seeded, ${tokens} tokens: ${unequal.length === 0 ? "all equal" : `not equal in ${unequal.join(", ")}`}`,
);
if (unequal.length > 0) process.exit(1);
notes.forget();

/** Runs `espalier verify` and gives the JSON object of its last line. */
async function verify(path, names, sampling) {
  const args = ["verify", "--model", values.model, "--prompts", path, "--method", names.join(","), "--json"];
  args.push("--limit", perFile, "--max-tokens", maxTokens, ...sampling);
  const child = spawn(process.execPath, [join(root, "dist/cli/main.js"), ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  // The child hears ctrl-C as well and ends by itself; this one waits for it.
  const wait = () => {};
  process.on("SIGINT", wait);
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  const code = await new Promise((resolve) => child.on("close", resolve));
  process.off("SIGINT", wait);
  const last = output.trimEnd().split("\n").at(-1);
  if (code === 130) process.exit(130);
  if (last === undefined || last === "") fail(`espalier ${args.join(" ")} ended with code ${code}`);
  const result = JSON.parse(last);
  if (code !== 0 && result.equal) fail(`espalier verify ended with code ${code}`);
  return result;
}

/** What the model can draft with. */
async function methodNames() {
  const model = await loadModel(values.model);
  await model[Symbol.asyncDispose]();
  return model.methodNames.filter((name) => name !== "plain");
}

/** What was found equal at this commit with these settings; kept only when the working tree is clean. */
function openNotes() {
  const git = (...args) => execFileSync("git", args, { cwd: root, encoding: "utf8" }).trim();
  let commit;
  try {
    commit = git("status", "--porcelain") === "" ? git("rev-parse", "HEAD") : undefined;
  } catch {
    commit = undefined;
  }
  if (commit === undefined) return { read: () => undefined, write() {}, forget() {} };
  const folder = join(modelFolder(), "..", "verify-all");
  const name = [commit.slice(0, 12), basename(values.model), perFile, maxTokens].join("-");
  const path = join(folder, `${name}.json`);
  const found = existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {};
  return {
    read: (key) => found[key],
    write(key, result) {
      found[key] = result;
      mkdirSync(folder, { recursive: true });
      writeFileSync(path, JSON.stringify(found));
    },
    forget: () => rmSync(path, { force: true }),
  };
}

function fail(message) {
  console.error(`verify:all: ${message}`);
  process.exit(1);
}
