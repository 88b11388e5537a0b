/**
 * @file Puts a file from elsewhere into place whole or not at all: it grows beside its place, its hash is compared, and only
 * then it is renamed. A download that broke off leaves what has come, and the next one goes on from there; of programs that
 * want the same file one downloads it and the others wait.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { EspalierError } from "../errors.ts";
import type { DownloadProgress } from "./download-progress.ts";
import { type HttpClient, type HttpResponse, reasonOf, StatusError } from "./http.ts";
import { printable } from "./hub-name.ts";
import { LockFile } from "./lock-file.ts";
import { type Content, PartialFile } from "./partial-file.ts";

export interface SaveOptions {
  /** What messages and progress call it. */
  readonly name: string;
  /** The place of the file; a file that is there already is replaced, unless it is the one wanted. */
  readonly path: string;
  readonly content: Content;
  /** What the file must begin with, in Latin-1. */
  readonly magic: string;
  readonly onProgress?: ((progress: DownloadProgress) => void) | undefined;
  /** Called with a sentence about something that takes time or went wrong on the way. */
  readonly onNote?: ((note: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Downloads `url`. Throws EspalierError "disk-full", or "download-failed" when the server refuses, cannot be reached, keeps
 * hanging up, or sends something else; an abort throws the signal's reason.
 */
export async function download(http: HttpClient, url: string, options: SaveOptions): Promise<void> {
  await place(options, async (partial) => {
    await checkRoom(partial, options);
    const resumed = partial.position > 0;
    await receive(http, url, partial, options);
    if (!resumed || partial.wrongHash() === undefined) return;
    options.onNote?.(`${options.name}: what an earlier download left was damaged; it comes anew`);
    partial.restart();
    await receive(http, url, partial, options);
  });
}

/** Writes `source` to its place. Throws like {@link download}. */
export async function save(source: Readable, options: SaveOptions): Promise<void> {
  await place(options, async (partial) => {
    partial.restart();
    await append(source, partial, options);
  });
}

async function place(options: SaveOptions, fill: (partial: PartialFile) => Promise<void>): Promise<void> {
  const { path, content, name, signal, onNote } = options;
  const partialPath = `${path}.espalier.incomplete`;
  let bytes = 0;
  try {
    await mkdir(dirname(path), { recursive: true });
    await using _lock = await LockFile.take(`${partialPath}.lock`, {
      signal,
      onWait: () => onNote?.(`${name}: another program is downloading it; waiting for that`),
    });
    // Another program may have brought it meanwhile.
    if (await holds(path, content)) return;
    await using partial = await PartialFile.open(partialPath, content);
    try {
      await fill(partial);
    } finally {
      bytes = partial.position;
    }
    const wrong = partial.wrongHash();
    if (wrong !== undefined) {
      partial.restart();
      const { kind, hex } = content.checksum!;
      throw failed(
        options,
        `is not the file that was expected: ${bytes} bytes with ${kind} ${wrong}, not ${hex}`,
      );
    }
    await partial.moveTo(path);
  } catch (cause) {
    signal?.throwIfAborted();
    throw explained(cause, bytes, options);
  }
}

/** True when the content is at `path`. */
export async function holds(path: string, { checksum, bytes }: Content): Promise<boolean> {
  if (checksum === undefined) return false;
  const hash = createHash(checksum.kind === "sha256" ? "sha256" : "sha1");
  if (checksum.kind === "git-sha1") hash.update(`blob ${bytes}\0`);
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
  return hash.digest("hex") === checksum.hex;
}

/** Requests what is missing, again and again while connections break, until all has come. */
async function receive(
  http: HttpClient,
  url: string,
  partial: PartialFile,
  options: SaveOptions,
): Promise<void> {
  const { bytes, checksum } = options.content;
  let etag: string | undefined;
  let start = 0;
  await http.retrying(
    async () => {
      // Without a checksum only the server can tell whether it still has the same file.
      if (checksum === undefined && etag === undefined) partial.restart();
      start = partial.position;
      if (start > 0 && start === bytes) return;
      const response = await rest(http, url, partial, etag);
      etag = strongEtag(response);
      try {
        checkLength(response, partial, options);
        await append(response.body, partial, options);
      } finally {
        response.body.destroy();
      }
      if (bytes !== undefined && partial.position < bytes) {
        throw Object.assign(new Error("the server ended it early"), { code: "ECONNRESET" });
      }
    },
    () => partial.position > start,
  );
}

/** The answer to a request for what is missing; when it is the whole file, `partial` starts anew. */
async function rest(
  http: HttpClient,
  url: string,
  partial: PartialFile,
  etag: string | undefined,
): Promise<HttpResponse> {
  const { position } = partial;
  if (position === 0) return await http.send(url);
  try {
    const headers = { range: `bytes=${position}-`, ...(etag !== undefined && { "if-range": etag }) };
    const response = await http.send(url, { headers });
    const from = /^bytes (\d+)-/.exec(response.header("content-range") ?? "")?.[1];
    if (response.status === 206 && Number(from) === position) return response;
    partial.restart();
    if (response.status !== 206) return response;
    response.body.destroy();
  } catch (error) {
    if (!(error instanceof StatusError && error.status === 416)) throw error;
    partial.restart();
  }
  return await http.send(url);
}

async function append(source: Readable, partial: PartialFile, options: SaveOptions): Promise<void> {
  const { name, content, magic, onProgress, signal } = options;
  const report = () => onProgress?.({ name, bytes: partial.position, totalBytes: content.bytes });
  report();
  for await (const chunk of source as AsyncIterable<Buffer>) {
    signal?.throwIfAborted();
    const begin = chunk.toString("latin1", 0, magic.length);
    if (partial.position === 0 && begin !== magic.slice(0, begin.length)) {
      throw failed(options, `is no model: it begins with "${printable(chunk.toString("latin1", 0, 40))}"`);
    }
    if (partial.position + chunk.length > (content.bytes ?? Number.POSITIVE_INFINITY)) {
      throw failed(options, `is longer than the ${content.bytes} bytes that were announced`);
    }
    await partial.append(chunk);
    report();
  }
}

function checkLength(response: HttpResponse, partial: PartialFile, options: SaveOptions): void {
  const { bytes } = options.content;
  const length = response.header("content-length");
  if (bytes === undefined || length === undefined || Number(length) === bytes - partial.position) return;
  const type = response.header("content-type") ?? "of no type";
  throw failed(
    options,
    `should have ${bytes} bytes, but ${new URL(response.url).host} sends ${printable(length)} (${printable(type)})`,
  );
}

/** Throws "disk-full" when what is missing cannot fit. */
async function checkRoom(partial: PartialFile, { name, path, content }: SaveOptions): Promise<void> {
  const missing = (content.bytes ?? 0) - partial.position;
  // Not every file system tells.
  const space = await statfs(dirname(path)).catch(() => undefined);
  if (space === undefined || missing <= space.bavail * space.bsize) return;
  throw new EspalierError(
    "disk-full",
    `${name} needs ${megabytes(missing)} more, and ${dirname(path)} has room for ${megabytes(space.bavail * space.bsize)}`,
  );
}

function strongEtag(response: HttpResponse): string | undefined {
  const etag = response.header("etag");
  return etag?.startsWith('"') ? etag : undefined;
}

function explained(cause: unknown, bytes: number, options: SaveOptions): EspalierError {
  if (cause instanceof EspalierError) return cause;
  const { code } = cause as NodeJS.ErrnoException;
  const kept = bytes > 0 ? "; what has come is kept, and the same again goes on from there" : "";
  if (code === "ENOSPC" || code === "EDQUOT") {
    const place = `${dirname(options.path)} is full after ${megabytes(bytes)} of ${options.name}`;
    return new EspalierError("disk-full", `${place}${kept}`, { cause });
  }
  const where = bytes > 0 ? ` after ${megabytes(bytes)}` : "";
  return failed(options, `could not be downloaded${where}: ${reasonOf(cause)}${kept}`, cause);
}

function failed({ name }: SaveOptions, problem: string, cause?: unknown): EspalierError {
  return new EspalierError("download-failed", `${name} ${problem}`, { cause });
}

/** Such as "98.4 MB". */
export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
