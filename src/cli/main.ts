#!/usr/bin/env node
/** @file The entry of `espalier`: gives the commands this process, and the process their exit code. */

import { fetchModel, findModel } from "../checkpoint/find-model.ts";
import { loadModel } from "../engine/load.ts";
import { run } from "./program.ts";

/** A reader that has seen enough (`| head`) closes the pipe; that is no error. */
for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
    process.exit(0);
  });
}

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  loadModel,
  findModel,
  fetchModel,
  onInterrupt(listener) {
    process.on("SIGINT", listener);
    return () => process.off("SIGINT", listener);
  },
  exit: (code) => process.exit(code),
});
