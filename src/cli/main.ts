#!/usr/bin/env node
/** @file The entry of `espalier`: gives the commands this process, and the process their exit code. */

import { fetchModel, findModel } from "../checkpoint/find-model.ts";
import { loadModel } from "../engine/load.ts";
import { compileLater } from "./compiler.ts";
import { FAILED } from "./io.ts";
import { run } from "./program.ts";

/** A reader that has seen enough (`| head`) closes the pipe; that is no error. A full disk behind `>` is one. */
for (const [name, stream] of Object.entries({ output: process.stdout, error: process.stderr })) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(0);
    if (name === "output") process.stderr.write(`error: cannot write standard output: ${error.message}\n`);
    process.exit(FAILED);
  });
}

/** Commands that run for long, or measure what users of the library get. */
const LASTING = ["serve", "bench"];

/** Loading has hot loops of its own, so it is over before less is compiled. */
const load: typeof loadModel = async (...request) => {
  const model = await loadModel(...request);
  if (!LASTING.includes(process.argv[2]!)) compileLater();
  return model;
};

function listenTo(signals: readonly NodeJS.Signals[], listener: () => void): () => void {
  for (const signal of signals) process.on(signal, listener);
  return () => {
    for (const signal of signals) process.off(signal, listener);
  };
}

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  loadModel: load,
  findModel,
  fetchModel,
  onInterrupt: (listener) => listenTo(["SIGINT"], listener),
  onStop: (listener) => listenTo(["SIGINT", "SIGTERM"], listener),
  exit: (code) => process.exit(code),
});
