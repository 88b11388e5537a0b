/**
 * @file What comes with the package to draft for a model: heads, `models/NAME/…-eagle.gguf`, and exit blocks, `…-exit.gguf`, each for the
 * one model that it was trained for.
 */

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "../errors.ts";
import { readExitConfig } from "./exit-file.ts";
import { type Gguf, openGguf } from "./gguf.ts";
import { type HeadTarget, readHeadConfig } from "./head-file.ts";

const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const SUFFIX = "-eagle.gguf";

/** The path of the head for `target`; undefined when there is none. `models`: the folder to look in, default the package's. */
export function findShippedHead(target: HeadTarget, models = MODELS): Promise<string | undefined> {
  return find(SUFFIX, models, (gguf) => readHeadConfig(gguf, target));
}

/** The path of the exit block for `target`, as {@link findShippedHead} finds a head. */
export function findShippedExit(target: HeadTarget, models = MODELS): Promise<string | undefined> {
  return find("-exit.gguf", models, (gguf) => readExitConfig(gguf, target));
}

/** The first file of a suffix that `read` does not refuse as another target's. */
async function find(
  suffix: string,
  models: string,
  read: (gguf: Gguf) => unknown,
): Promise<string | undefined> {
  const files = existsSync(models) ? await readdir(models, { recursive: true }) : [];
  for (const file of files.filter((name) => name.endsWith(suffix)).sort()) {
    const path = join(models, file);
    await using gguf = await openGguf(path);
    if (fits(gguf, read)) return path;
  }
  return undefined;
}

/** The path of the length predictor that stands beside a head: `NAME-ldlp.gguf` beside `NAME-eagle.gguf`; undefined when there is none. */
export function ldlpBeside(head: string | undefined): string | undefined {
  if (!head?.endsWith(SUFFIX)) return undefined;
  const path = `${head.slice(0, -SUFFIX.length)}-ldlp.gguf`;
  return existsSync(path) ? path : undefined;
}

function fits(gguf: Gguf, read: (gguf: Gguf) => unknown): boolean {
  try {
    read(gguf);
    return true;
  } catch (error) {
    if (error instanceof EspalierError && error.code === "wrong-head") return false;
    throw error;
  }
}
