/** @file What somebody who named no model is told once: which model answers, and how to get a real one. */

import { existsSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { embeddedModel } from "../checkpoint/embedded.ts";
import { cacheFolder } from "../checkpoint/model-cache.ts";
import { dim, type Io } from "./io.ts";

const WELCOME =
  `${embeddedModel} answers: a small model that comes with Espalier and tells short stories, nothing else. ` +
  "For real chat add --model smollm2-135m";

/** Says it on standard error unless it was said before; a file in the cache folder remembers, where one can be written. */
export async function welcome(io: Io): Promise<void> {
  const marker = join(cacheFolder(io.env), "welcomed");
  if (existsSync(marker)) return;
  io.stderr.write(`${dim(WELCOME, io.stderr, io)}\n`);
  try {
    await mkdir(dirname(marker), { recursive: true });
    await writeFile(marker, "");
  } catch {
    // A cache that cannot be written is no reason to fail: it will be said again.
  }
}
