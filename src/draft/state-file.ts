/**
 * @file A recycling matrix as a file, little-endian: magic, version, vocabulary size, width, then the rows as int32, then
 * a CRC-32 of all before it. Written beside its place and then moved there, so a crash leaves the old file whole.
 */

import { randomUUID } from "node:crypto";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { EspalierError } from "../errors.ts";
import { RECYCLE_WIDTH, type RecycleMatrix } from "./recycle.ts";

const MAGIC = 0x4c505345; // "ESPL"
const VERSION = 1;
const HEADER_BYTES = 16;

/** Throws EspalierError "disk-full" or the file system's own error. */
export async function writeState(file: string, matrix: RecycleMatrix): Promise<void> {
  const bytes = new Uint8Array(HEADER_BYTES + matrix.rows.length * 4 + 4);
  const view = new DataView(bytes.buffer);
  [MAGIC, VERSION, matrix.vocabSize, RECYCLE_WIDTH].forEach((value, i) => {
    view.setUint32(4 * i, value, true);
  });
  for (let i = 0; i < matrix.rows.length; i++) view.setInt32(HEADER_BYTES + 4 * i, matrix.rows[i]!, true);
  view.setUint32(bytes.length - 4, crc32(bytes.subarray(0, -4)), true);

  const beside = `${file}.${randomUUID()}.part`;
  try {
    await writeFile(beside, bytes);
    await rename(beside, file);
  } catch (error) {
    await rm(beside, { force: true });
    if ((error as NodeJS.ErrnoException).code === "ENOSPC") {
      throw new EspalierError("disk-full", `no room to write ${file}`, { cause: error });
    }
    throw error;
  }
}

/** Fills `matrix`, which stays as it was when the file is refused. */
export async function readState(file: string, matrix: RecycleMatrix): Promise<void> {
  const bytes = await readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") {
      throw new EspalierError("file-not-found", `there is no file ${file}`, { cause: error });
    }
    throw new EspalierError("file-unreadable", `${file} cannot be read: ${error.message}`, { cause: error });
  });
  const refuse = (why: string): never => {
    throw new EspalierError("bad-state", `${file} is no saved state for this model: ${why}`);
  };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (bytes.length < HEADER_BYTES + 4 || view.getUint32(0, true) !== MAGIC)
    refuse("it starts with other bytes");
  const [version, vocabSize, width] = [4, 8, 12].map((at) => view.getUint32(at, true));
  if (version !== VERSION) refuse(`it has version ${version}, this program reads ${VERSION}`);
  if (vocabSize !== matrix.vocabSize) {
    refuse(`it is of a vocabulary of ${vocabSize} tokens, the model has ${matrix.vocabSize}`);
  }
  if (width !== RECYCLE_WIDTH)
    refuse(`it has ${width} candidates a token, this program keeps ${RECYCLE_WIDTH}`);
  const size = HEADER_BYTES + matrix.rows.length * 4 + 4;
  if (bytes.length !== size) refuse(`it has ${bytes.length} bytes and should have ${size}`);
  if (view.getUint32(bytes.length - 4, true) !== crc32(bytes.subarray(0, -4)))
    refuse("its checksum is wrong");
  const rows = matrix.rows.map((_, i) => view.getInt32(HEADER_BYTES + 4 * i, true));
  if (rows.some((token) => token < -1 || token >= matrix.vocabSize))
    refuse("it holds tokens outside the vocabulary");
  matrix.rows.set(rows);
}
