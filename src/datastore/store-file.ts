/** @file The file of a datastore while it is read: its header, and its checksum. */

import type { FileHandle } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { fill, openFile } from "../checkpoint/open-file.ts";
import { EspalierError } from "../errors.ts";
import { decodeHeader, HEADER_BYTES, type StoreHeader } from "./format.ts";

/** Bytes that are read at once to compare a checksum. */
const PIECE = 1 << 20;

export interface StoreFile extends StoreHeader {
  readonly path: string;
  readonly file: FileHandle;
  /** Of the file. */
  readonly bytes: number;
}

/**
 * Opens the file and reads its header; whoever calls closes it. Throws EspalierError "file-not-found", "file-unreadable", "bad-store", or
 * "other-vocabulary" when `fingerprint` is given and the store's is another.
 */
export async function openStoreFile(path: string, fingerprint?: string): Promise<StoreFile> {
  const { file, size } = await openFile(path);
  try {
    const start = new Uint8Array(Math.min(size, HEADER_BYTES));
    if (!(await fill(path, file, start, 0))) throw changed(path);
    const header = decodeHeader(path, start, size);
    if (fingerprint !== undefined && header.fingerprint !== fingerprint) {
      throw new EspalierError(
        "other-vocabulary",
        `the datastore ${path} was built with the tokenizer of another model; build one with this model's`,
      );
    }
    return { ...header, path, file, bytes: size };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Calls `each` with all behind the header, piece by piece. Throws EspalierError "bad-store" when its checksum is wrong. */
export async function readChecked(
  { path, file, bytes, checksum }: StoreFile,
  each: (piece: Uint8Array, at: number) => unknown = () => {},
  signal?: AbortSignal,
): Promise<void> {
  const room = new Uint8Array(Math.min(PIECE, bytes));
  let sum = 0;
  for (let at = HEADER_BYTES; at < bytes; at += room.length) {
    signal?.throwIfAborted();
    const piece = room.subarray(0, Math.min(room.length, bytes - at));
    if (!(await fill(path, file, piece, at))) throw changed(path);
    sum = crc32(piece, sum);
    await each(piece, at);
  }
  if (sum !== checksum) {
    throw new EspalierError("bad-store", `${path} is damaged: its checksum is wrong; build or copy it again`);
  }
}

/** The error for a file that is no longer what it was when it was opened. */
export function changed(path: string, cause?: unknown): EspalierError {
  return new EspalierError(
    "store-changed",
    `the datastore ${path} was changed while it was in use; open it again`,
    {
      cause,
    },
  );
}
