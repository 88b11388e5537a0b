/**
 * @file Puts a file into place whole or not at all: it is written beside its place, its sha256 is compared, and only then
 * it is renamed. Whatever fails, nothing half-done stays behind.
 */

import { createHash } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { EspalierError } from "../errors.ts";

export interface SaveOptions {
  /** The place of the file; a file that is there already is replaced. */
  readonly path: string;
  /** What the bytes must hash to, in lower-case hex. */
  readonly sha256: string;
  /** Called with the bytes written so far. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface DownloadOptions extends SaveOptions {
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Downloads `url`. Throws EspalierError "disk-full", or "download-failed" when the server refuses, cannot be reached, hangs
 * up early, or sends something else; an abort throws the signal's reason.
 */
export async function download(url: string, options: DownloadOptions): Promise<void> {
  const { headers, signal } = options;
  let response: Response;
  try {
    response = await fetch(url, { headers: { ...headers }, signal: signal ?? null });
  } catch (cause) {
    signal?.throwIfAborted();
    throw failed(`${url} cannot be reached`, cause);
  }
  if (!response.ok || response.body === null) {
    await response.body?.cancel();
    throw failed(`${url} answered ${response.status} ${response.statusText}`.trimEnd());
  }
  await save(Readable.fromWeb(response.body as WebStream), url, options);
}

/** Writes `source`, which came from `origin`, to its place. Throws like {@link download}. */
export async function save(source: Readable, origin: string, options: SaveOptions): Promise<void> {
  const { path, sha256, onProgress, signal } = options;
  const partial = `${path}.${process.pid}.part`;
  const hash = createHash("sha256");
  let bytes = 0;
  try {
    await mkdir(dirname(path), { recursive: true });
    await pipeline(
      source,
      async function* (chunks: AsyncIterable<Buffer>) {
        for await (const chunk of chunks) {
          hash.update(chunk);
          bytes += chunk.length;
          onProgress?.(bytes);
          yield chunk;
        }
      },
      createWriteStream(partial),
      { ...(signal && { signal }) },
    );
    const found = hash.digest("hex");
    if (found !== sha256) {
      throw failed(
        `${origin} is not the file that was expected: ${bytes} bytes with sha256 ${found}, not ${sha256}`,
      );
    }
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    signal?.throwIfAborted();
    if (cause instanceof EspalierError) throw cause;
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT") {
      throw new EspalierError("disk-full", `there is no room for ${path} (after ${bytes} bytes)`, { cause });
    }
    throw failed(`${origin} could not be saved as ${path}: it broke off after ${bytes} bytes`, cause);
  }
}

function failed(problem: string, cause?: unknown): EspalierError {
  // fetch says only "fetch failed"; what happened is in the error's own cause.
  const reasons: string[] = [];
  for (let error = cause; error instanceof Error && reasons.length < 3; error = error.cause)
    reasons.push(error.message);
  return new EspalierError("download-failed", [problem, ...reasons].join(": "), { cause });
}
