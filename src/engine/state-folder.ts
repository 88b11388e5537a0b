/**
 * @file The folder of what was learnt of models, `state/` in the user's cache folder: few files, none of them needed. When there are too many, or
 * they take too much, those that were not written for the longest go.
 */

import { createHash } from "node:crypto";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { cacheFolder, type Environment } from "../checkpoint/model-cache.ts";

const LIMITS = { files: 64, bytes: 256 << 20 };
/** Milliseconds after which nobody is still writing a file that was not finished. */
const ABANDONED_MS = 3_600_000;
/** Files of this folder, finished and not. */
const OURS = /\.(learnt|costs)$/;
const UNFINISHED = /\.(learnt|costs)\.[0-9a-f-]+\.part$/;

export type StateKind = "learnt" | "costs";

/** Which model it is, wherever its file lies. */
export interface ModelIdentity {
  /** Of its file. */
  readonly path: string;
  readonly fileSize: number;
  /** Of its vocabulary. */
  readonly fingerprint: string;
}

export function stateFolder(env?: Environment): string {
  return join(cacheFolder(env), "state");
}

/** Where something of a model is kept, or would be; `more` is what it depends on beside the model. */
export function stateFile(
  { path, fileSize, fingerprint }: ModelIdentity,
  kind: StateKind,
  more: readonly string[] = [],
  env?: Environment,
): string {
  const name = basename(path, ".gguf");
  const hash = createHash("sha256").update(JSON.stringify([name, fileSize, fingerprint, ...more]));
  const readable = name.replaceAll(/[^\w.-]/g, "_").slice(0, 80);
  return join(stateFolder(env), `${readable}-${hash.digest("hex").slice(0, 16)}.${kind}`);
}

/** Makes the folder, for its user's eyes alone. Throws the file system's own error. */
export async function makeStateFolder(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 });
}

/** Deletes what is too much, and what was never finished. Throws the file system's own error. */
export async function tidyStateFolder(folder: string, limits = LIMITS): Promise<void> {
  const files = [];
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const unfinished = UNFINISHED.test(name);
    if (!unfinished && !OURS.test(name)) continue;
    // Another program may tidy up, too.
    const info = await stat(path).catch(() => undefined);
    if (info === undefined) continue;
    if (!unfinished) files.push({ path, size: info.size, time: info.mtimeMs });
    else if (Date.now() - info.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }
  files.sort((a, b) => b.time - a.time);
  let bytes = 0;
  for (const [i, { path, size }] of files.entries()) {
    bytes += size;
    if (i >= limits.files || bytes > limits.bytes) await rm(path, { force: true });
  }
}
