/** @file Benchmarks that are partly TypeScript, because tests read it: compiles a folder's part with its `tsconfig.json`, and imports it. */

import { execFileSync } from "node:child_process";
import { basename, join } from "node:path";

const root = join(import.meta.dirname, "..");

/**
 * Compiles what the `tsconfig.json` of `folder` includes into `native/build/NAME`. Gives the function that imports a file of the
 * folder, by its name without ".ts".
 */
export function compiled(folder) {
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", folder], { stdio: ["ignore", 2, 2] });
  process.env.ESPALIER_NATIVE ??= join(root, "native/build/espalier.node");
  const name = basename(folder);
  return (file) => import(join(root, "native/build", name, "bench", name, `${file}.js`));
}
