/**
 * @file `npm run bench:datastore -- --model M --corpus PATH…`: what it takes to build a datastore of files that the caller names, and to ask it. Queries
 * are the ends of texts at random places of `--asked` (default: of the corpus itself, where nearly everything is found). They are timed twice over, in a new
 * process: as they come, and with the CPU's caches full of other things, as they are after a pass over a model.
 */

import { fork } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { findModel } from "../../dist/checkpoint/find-model.js";
import { openGguf } from "../../dist/checkpoint/gguf.js";
import { readChatTemplate, readTokenizerSpec } from "../../dist/checkpoint/tokenizer-spec.js";
import { commit } from "../../dist/cli/version.js";
import { buildDatastore } from "../../dist/datastore/build.js";
import { openDatastore } from "../../dist/datastore/datastore.js";
import { findFiles, readParts } from "../../dist/datastore/documents.js";
import { Tokenizer } from "../../dist/text/tokenizer.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "smollm2-135m" },
    corpus: { type: "string", multiple: true },
    asked: { type: "string", multiple: true },
    queries: { type: "string", default: "2000" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const CONTEXT = 64;
/** Larger than last-level caches, as far as a process may use them. */
const OTHER_BYTES = 64 << 20;

if (process.env.BENCH_TASK) {
  const task = JSON.parse(process.env.BENCH_TASK);
  process.send(await (task.kind === "build" ? build(task) : ask(task)));
  process.disconnect();
} else {
  await main();
}

async function main() {
  const corpus = values.corpus ?? fail("give --corpus, a file or folder of texts, once or more");
  const folder = mkdtempSync(join(tmpdir(), "espalier-bench-"));
  try {
    const out = join(folder, "store.esd");
    const built = await inChild({ kind: "build", out, corpus });
    const asked = await inChild({ kind: "ask", out, asked: values.asked ?? corpus });
    console.log(
      `${cpus()[0].model}, ${values.threads} threads, tokenizer of ${values.model}, commit ${commit().slice(0, 10)}`,
    );
    const { result, peak } = built;
    console.log(
      `build: ${mb(result.sourceBytes)} in ${result.files} files, ${result.tokens} tokens; ${s(result.totalMs)}, of them ${s(result.tokenizeMs)} tokens and ${s(result.sortMs)} suffixes; file ${mb(result.bytes)}; most memory ${mb(peak)}`,
    );
    console.log(
      `open: ${asked.openMs.toFixed(0)} ms, the checksum included; memory ${mb(asked.before)} before, ${mb(asked.after)} after ${asked.first.length} queries, ${mb(asked.anonymous)} of it not pages of files`,
    );
    const { matched } = asked;
    console.log(
      `found ${matched.filter((length) => length > 0).length} of ${matched.length} queries; tokens matched ${spread(matched, 0)}; places ${spread(asked.hits, 0)}`,
    );
    for (const [name, times] of [
      ["first time", asked.first],
      ["again", asked.again],
      ["with cold caches", asked.cold],
    ]) {
      console.log(`query, ${name}, us: ${spread(times, 0)}`);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function inChild(task) {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, process.argv.slice(2), {
      env: { ...process.env, BENCH_TASK: JSON.stringify(task) },
      serialization: "advanced",
    });
    child.once("message", resolve);
    child.once("exit", (code) => reject(new Error(`the process of "${task.kind}" ended with ${code}`)));
  });
}

async function readModel() {
  const gguf = await openGguf(await findModel(values.model, {}));
  try {
    return { spec: readTokenizerSpec(gguf), template: readChatTemplate(gguf) };
  } finally {
    await gguf[Symbol.asyncDispose]();
  }
}

async function build({ out, corpus }) {
  const result = await buildDatastore(
    out,
    { parts: await readModel(), inputs: corpus },
    { threads: Number(values.threads) },
  );
  return { result, peak: process.resourceUsage().maxRSS * 1024 };
}

async function ask({ out, asked }) {
  const contexts = await readContexts(asked, Number(values.queries));
  const before = process.memoryUsage().rss;
  const start = performance.now();
  const store = await openDatastore(out);
  const openMs = performance.now() - start;
  const found = [];
  const time = (context) => {
    const start = performance.now();
    const result = store.match(context);
    const us = (performance.now() - start) * 1000;
    found.push(result);
    return us;
  };
  const first = contexts.map(time);
  const matched = found.map(({ matched }) => matched);
  const hits = found.map(({ hits }) => hits);
  const after = process.memoryUsage().rss;
  const anonymous = rssOf("RssAnon");
  const again = contexts.map(time);
  const other = new Float64Array(OTHER_BYTES / 8).fill(1);
  let sum = 0;
  const cold = contexts.slice(0, 500).map((context) => {
    for (let i = 0; i < other.length; i += 8) sum += other[i];
    return time(context);
  });
  store.close();
  return { openMs, before, after, anonymous, first, again, cold, matched, hits, sum };
}

function rssOf(name) {
  if (process.platform !== "linux") return Number.NaN;
  const status = readFileSync("/proc/self/status", "utf8");
  return Number(new RegExp(`^${name}:\\s*(\\d+)`, "m").exec(status)[1]) * 1024;
}

/** Ends of texts, at places that are the same in every run. */
async function readContexts(inputs, count) {
  const tokenizer = new Tokenizer((await readModel()).spec);
  const files = (await findFiles(inputs)).filter(({ bytes }) => bytes > 500);
  const contexts = [];
  let state = 1;
  const next = (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  while (contexts.length < count) {
    for await (const { part } of readParts(files[next(files.length)])) {
      const tokens = tokenizer.encode(part.text.slice(0, 40_000), { special: false });
      for (let i = 0; i < 4 && contexts.length < count && tokens.length > 2; i++) {
        const end = 2 + next(tokens.length - 2);
        contexts.push(tokens.slice(Math.max(0, end - CONTEXT), end));
      }
      break;
    }
  }
  return contexts;
}

function spread(numbers, digits) {
  const sorted = numbers.toSorted((a, b) => a - b);
  const at = (part) => sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))].toFixed(digits);
  return `median ${at(0.5)}, p90 ${at(0.9)}, p99 ${at(0.99)}, most ${at(1)}`;
}

function mb(bytes) {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

function s(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

function fail(message) {
  console.error(`bench:datastore: ${message}`);
  process.exit(1);
}
