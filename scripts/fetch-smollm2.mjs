// Fetches the test model into the user's cache folder: npm run fetch:smollm2. Works right after npm ci.

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Presets, SingleBar } from "cli-progress";

const root = fileURLToPath(new URL("..", import.meta.url));
const built = new URL("../dist/checkpoint/smollm2.js", import.meta.url);
if (!existsSync(built))
  spawnSync("npm", ["run", "build:ts"], { cwd: root, stdio: ["ignore", 2, 2], shell: true });

const { fetchSmollm2, smollm2Bytes, smollm2Name } = await import(built.href);
const isTerminal = process.stderr.isTTY;
const bar = new SingleBar(
  {
    format: `${smollm2Name} {bar} {percentage} %, {eta} s left`,
    stream: process.stderr,
    clearOnComplete: true,
  },
  Presets.shades_classic,
);
const clearBar = () => {
  if (bar.isActive) bar.stop();
};
const stop = new AbortController();
for (const name of ["SIGINT", "SIGTERM"]) process.once(name, () => stop.abort());
try {
  const path = await fetchSmollm2({
    signal: stop.signal,
    onProgress(bytes) {
      if (isTerminal && !bar.isActive) bar.start(smollm2Bytes, bytes);
      bar.update(bytes);
    },
    onNote(note) {
      clearBar();
      console.error(note);
    },
  });
  clearBar();
  console.error(`${smollm2Name} is at ${path}`);
} catch (error) {
  clearBar();
  if (stop.signal.aborted) process.exit(130);
  console.error(typeof error.code === "string" ? `${error.code}: ${error.message}` : error);
  process.exitCode = 1;
}
