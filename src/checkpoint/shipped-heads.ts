/** @file Draft heads that come with the package: `models/NAME/…-eagle.gguf`, each for the one model that it was trained for. */

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { EspalierError } from "../errors.ts";
import { openGguf } from "./gguf.ts";
import { type HeadTarget, readHeadConfig } from "./head-file.ts";

const MODELS = fileURLToPath(new URL("../../models/", import.meta.url));
const SUFFIX = "-eagle.gguf";

/** The path of the head for `target`; undefined when there is none. `models`: the folder to look in, default the package's. */
export async function findShippedHead(target: HeadTarget, models = MODELS): Promise<string | undefined> {
  const files = existsSync(models) ? await readdir(models, { recursive: true }) : [];
  for (const file of files.filter((name) => name.endsWith(SUFFIX)).sort()) {
    const path = join(models, file);
    if (await fits(path, target)) return path;
  }
  return undefined;
}

/** The path of the length predictor that stands beside a head: `NAME-ldlp.gguf` beside `NAME-eagle.gguf`; undefined when there is none. */
export function ldlpBeside(head: string | undefined): string | undefined {
  if (!head?.endsWith(SUFFIX)) return undefined;
  const path = `${head.slice(0, -SUFFIX.length)}-ldlp.gguf`;
  return existsSync(path) ? path : undefined;
}

async function fits(path: string, target: HeadTarget): Promise<boolean> {
  await using gguf = await openGguf(path);
  try {
    readHeadConfig(gguf, target);
    return true;
  } catch (error) {
    if (error instanceof EspalierError && error.code === "wrong-head") return false;
    throw error;
  }
}
