/** @file Opens and reads files of weights; what goes wrong is an EspalierError that names the file. */

import type { FileHandle } from "node:fs/promises";
import { open, stat } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import type { TensorInfo } from "./tensor-table.ts";

/** Throws EspalierError "file-not-found" or "file-unreadable". */
export async function openFile(path: string): Promise<{ file: FileHandle; size: number }> {
  try {
    const info = await stat(path);
    // Opening a pipe would wait for a writer.
    if (!info.isFile()) throw new EspalierError("file-unreadable", `${path} is not a regular file`);
    return { file: await open(path, "r"), size: info.size };
  } catch (cause) {
    if (cause instanceof EspalierError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
      throw new EspalierError("file-not-found", `there is no file ${path}`, { cause });
    }
    throw unreadable(path, cause);
  }
}

function unreadable(path: string, cause: unknown): EspalierError {
  return new EspalierError("file-unreadable", `${path} cannot be read: ${(cause as Error).message}`, {
    cause,
  });
}

/** Fills `into` from `position` on; false when the file ends before. Throws EspalierError "file-unreadable". */
export async function fill(
  path: string,
  file: FileHandle,
  into: Uint8Array,
  position: number,
): Promise<boolean> {
  let done = 0;
  while (done < into.length) {
    const { bytesRead } = await file
      .read(into, done, into.length - done, position + done)
      .catch((cause: unknown) => Promise.reject(unreadable(path, cause)));
    if (bytesRead === 0) return false;
    done += bytesRead;
  }
  return true;
}

/** Fills `into` with the bytes of `tensor` from its byte `from` on; errors are those of {@link TensorFile.read}. */
export async function readTensor(
  path: string,
  file: FileHandle,
  tensor: TensorInfo,
  into: Uint8Array,
  from: number,
): Promise<void> {
  if (!Number.isInteger(from) || from < 0 || from + into.length > tensor.byteLength) {
    throw new RangeError(
      `bytes ${from} to ${from + into.length} of "${tensor.name}" were asked for, it has ${tensor.byteLength}`,
    );
  }
  if (!(await fill(path, file, into, tensor.offset + from))) {
    throw new EspalierError(
      "damaged-file",
      `${path}: tensor "${tensor.name}": the file became shorter after it was opened`,
    );
  }
}
