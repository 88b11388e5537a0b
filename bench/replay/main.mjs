/** @file Compiles `run.ts` with all that it uses, and runs it: replays go through the sources, as tests do. */

import { execFileSync } from "node:child_process";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");
const compiler = join(root, "node_modules/typescript/bin/tsc");
execFileSync(process.execPath, [compiler, "-p", import.meta.dirname], { stdio: "inherit" });
process.env.ESPALIER_NATIVE ??= join(root, "native/build/espalier.node");
const { main } = await import(join(root, "native/build/replay/bench/replay/run.js"));
await main(root);
