/** @file The real model for tests. It is not part of the repository; what needs it is skipped, and says so, when it is not there. */

import { existsSync } from "node:fs";
import { describe } from "vitest";
import { cachedModelPath } from "../src/checkpoint/model-cache.ts";
import { smollm2 } from "../src/checkpoint/smollm2.ts";

const path = cachedModelPath(smollm2.name);

/** Like describe(), with the path of the model's file; skipped when the file is not in the cache. */
export function describeWithSmollm2(name: string, tests: (path: string) => void): void {
  if (existsSync(path)) describe(name, () => tests(path));
  else describe.skip(`${name} (skipped: run npm run fetch:smollm2)`, () => tests(path));
}
