/**
 * @file `npm run fuzz -- [--cases N] [--seed S] [--case N]`: mutated files of models, draft heads, datastores and of what was learnt, each loaded and asked for a text or for
 * what followed one, in processes that may die of it. A fault is a crash, a hang, more memory than twice the file and a fixed base, or an error that is no
 * EspalierError. The same seed and case number give the same file again; `--case` runs that one alone.
 */

import { execFileSync, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const root = join(import.meta.dirname, "..");
const { values } = parseArgs({
  options: {
    cases: { type: "string", default: "100000" },
    seed: { type: "string", default: "1" },
    case: { type: "string" },
    workers: { type: "string", default: String(availableParallelism()) },
  },
});
const seed = Number(values.seed);
const only = values.case === undefined ? undefined : Number(values.case);
const cases = Number(values.cases);
/** Processor time that a case may take, and how long it may say nothing at all on a busy machine. */
const MOST_MS = 2000;
const SILENCE_MS = 20_000;
/** Bytes that a case may take on top of twice its file: what a valid file takes, and garbage that is not collected yet. */
const MEMORY_BASE = 64 << 20;

const engine = process.env.ESPALIER_NATIVE ?? join(root, "native/build/espalier.node");
if (!existsSync(engine)) fail("the engine is not built; run npm run build first");
const build = join(root, "native/build/fuzz");
execFileSync(
  process.execPath,
  [join(root, "node_modules/typescript/bin/tsc"), "-p", join(root, "test/fuzz")],
  {
    stdio: "inherit",
  },
);

const ends = new Map();
const found = [];
let done = 0;
let mostMs = 0;
let mostBytes = 0;
const start = performance.now();
const step = only === undefined ? Number(values.workers) : 1;
await Promise.all(
  Array.from({ length: step }, (_, i) => runAll(only ?? i, only === undefined ? cases : only + 1)),
);

for (const [end, count] of [...ends].sort((a, b) => b[1] - a[1]))
  console.log(`${String(count).padStart(8)}  ${end}`);
console.log(
  `seed ${seed}, ${done} cases in ${((performance.now() - start) / 1000).toFixed(0)} s: ${found.length} faults; the slowest took ${mostMs.toFixed(0)} ms, the largest ${megabytes(mostBytes)} more than twice its file`,
);
process.exit(found.length > 0 ? 1 : 0);

/** Runs every step-th case from `first` on; after one that ends the process, another process goes on. */
async function runAll(first, end) {
  for (let next = first; next < end; ) next = (await runSome(next, end)) + step;
}

/** Gives the last case that was begun. */
function runSome(first, end) {
  return new Promise((resolve) => {
    const worker = fork(join(build, "test/fuzz/worker.js"), {
      env: { ...process.env, ESPALIER_NATIVE: engine },
    });
    let current = first;
    let open = false;
    let hung = false;
    let silence;
    const watch = () => {
      clearTimeout(silence);
      silence = setTimeout(() => {
        hung = true;
        worker.kill("SIGKILL");
      }, SILENCE_MS);
    };
    watch();
    worker.send({
      seed,
      first,
      step,
      end,
      files: {
        embedded: join(root, "models/espalier-tiny/espalier-tiny-draft.gguf"),
        fixtures: join(root, "test/fixtures"),
      },
    });
    worker.on("message", (message) => {
      watch();
      if (message.begin !== undefined) {
        current = message.begin;
        open = true;
        return;
      }
      open = false;
      note(message);
    });
    worker.on("exit", (code, signal) => {
      clearTimeout(silence);
      if (open || code !== 0)
        note({
          number: current,
          end: "fault",
          fault: hung ? "hangs" : `ends the process: ${signal ?? code}`,
        });
      resolve(open ? current : end);
    });
  });
}

function note({ number, end, fault, ms = 0, bytes = 0, fileBytes = 0 }) {
  done++;
  mostMs = Math.max(mostMs, ms);
  mostBytes = Math.max(mostBytes, bytes - 2 * fileBytes);
  const faults = [
    fault,
    ms > MOST_MS && `took ${ms.toFixed(0)} ms`,
    bytes > 2 * fileBytes + MEMORY_BASE && `took ${megabytes(bytes)} for a file of ${fileBytes} bytes`,
  ].filter(Boolean);
  const name = faults.length > 0 ? "fault" : end;
  ends.set(name, (ends.get(name) ?? 0) + 1);
  if (faults.length > 0) {
    found.push(number);
    console.log(`seed ${seed}, case ${number}: ${faults.join("; ")}`);
  }
  if (only !== undefined)
    console.log(`case ${number}: ${end}, ${fileBytes} bytes, ${ms.toFixed(0)} ms, ${megabytes(bytes)}`);
  else if (done % 10_000 === 0) console.error(`${done} of ${cases} cases, ${found.length} faults`);
}

function megabytes(bytes) {
  return `${(bytes / 2 ** 20).toFixed(1)} MB`;
}

function fail(message) {
  console.error(`fuzz: ${message}`);
  process.exit(1);
}
