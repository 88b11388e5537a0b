/** @file The user's cache folder for espalier; models with a name live in it as `models/<name>.gguf`, what was learnt of models in `state/`. */

import { readdir } from "node:fs/promises";
import { homedir } from "node:os";
import { isAbsolute, join } from "node:path";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The folder, which may not exist yet: ESPALIER_CACHE, else `espalier` in XDG_CACHE_HOME (if absolute, as its specification says) or in
 * the platform's folder for caches.
 */
export function cacheFolder(env: Environment = process.env): string {
  return env.ESPALIER_CACHE || join(userCache(env), "espalier");
}

/** The folder of named models, which may not exist yet. */
export function modelFolder(env: Environment = process.env): string {
  return join(cacheFolder(env), "models");
}

function userCache(env: Environment): string {
  if (env.XDG_CACHE_HOME && isAbsolute(env.XDG_CACHE_HOME)) return env.XDG_CACHE_HOME;
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches");
  if (process.platform === "win32") return env.LOCALAPPDATA || join(homedir(), "AppData", "Local");
  return join(homedir(), ".cache");
}

/** Where the model called `name` is, or would be. */
export function cachedModelPath(name: string, env: Environment = process.env): string {
  return join(modelFolder(env), `${name}.gguf`);
}

/** Names of the models in the cache, sorted. */
export async function cachedModels(env: Environment = process.env): Promise<string[]> {
  const names = await readdir(modelFolder(env)).catch(() => [] as string[]);
  return names
    .filter((name) => name.endsWith(".gguf"))
    .map((name) => name.slice(0, -".gguf".length))
    .sort();
}
