/**
 * @file Requests made up from the server's own OpenAPI document, right ones and wrong ones: every reply must be one that the document
 * has, wrong requests must be refused, and the server must live on without an error in its log. Needs `npm run build` and
 * schemathesis (`pip install schemathesis==4.32.5`).
 *
 *   npm run fuzz:server [-- --examples N --seed N --schemathesis COMMAND]
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    examples: { type: "string", default: "40" },
    seed: { type: "string", default: "1" },
    schemathesis: { type: "string", default: "schemathesis" },
  },
});
const cli = join(import.meta.dirname, "..", "dist", "cli", "main.js");
// A short context, so that texts are.
const server = spawn(process.execPath, [
  cli,
  "serve",
  "--port",
  "0",
  "--context",
  "128",
  "--quiet",
  "--no-warm-start",
]);
const gone = once(server, "close");
let shown = "";
let log = "";
server.stderr.on("data", (data) => {
  log += data;
});
const url = await new Promise((resolve, reject) => {
  server.stdout.on("data", (data) => {
    shown += data;
    const found = /address +(\S+)\/v1/.exec(shown);
    if (found) resolve(found[1]);
  });
  gone.then(() => reject(new Error(`the server did not start: ${log}`)));
});

const folder = mkdtempSync(join(tmpdir(), "espalier-fuzz-"));
const options = [
  "--phases",
  "examples,coverage,fuzzing",
  "--max-examples",
  values.examples,
  "--seed",
  values.seed,
];
// Some rules are between parameters (top_logprobs needs logprobs), and prompts may be too long for the context: schemas cannot say that.
const checks = ["--checks", "all", "--exclude-checks", "positive_data_acceptance"];
const tester = spawn(
  values.schemathesis,
  ["run", `${url}/openapi.json`, ...options, ...checks, "--no-shrink", "--continue-on-failure"],
  { cwd: folder, stdio: "inherit" },
);
const [code] = await once(tester, "close");
rmSync(folder, { recursive: true });
server.kill("SIGTERM");
const [left] = await gone;
const faults = log.split("\n").filter((line) => line.startsWith("error:"));
if (faults.length > 0) console.error(`the server's log has errors:\n${faults.join("\n")}`);
if (left !== 0) console.error(`the server ended with ${left}`);
process.exitCode = code === 0 && left === 0 && faults.length === 0 ? 0 : 1;
