/** @file The process in which `npm run fuzz` runs cases: it says which one it begins, so that the parent knows if it dies of it. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { caseOf, runCase } from "./one-case.ts";
import { readSeeds, type SeedFiles } from "./seeds.ts";

export interface Work {
  readonly seed: number;
  /** Cases `first`, `first + step`, … below `end`. */
  readonly first: number;
  readonly step: number;
  readonly end: number;
  readonly files: SeedFiles;
}

process.once("message", async (work: Work) => {
  const folder = mkdtempSync(join(tmpdir(), "espalier-fuzz-"));
  process.once("exit", () => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, "case.gguf");
  const seeds = await readSeeds(work.files);
  for (let number = work.first; number < work.end; number += work.step) {
    process.send!({ begin: number });
    const outcome = await runCase(caseOf(seeds, work.seed, number), path);
    process.send!({ number, ...outcome });
  }
  process.disconnect();
});
