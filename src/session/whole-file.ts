/** @file Files that are there whole or not at all: written beside their place and then moved there, so what was there stays until then. */

import { randomUUID } from "node:crypto";
import { rename, rm, writeFile } from "node:fs/promises";
import { EspalierError } from "../errors.ts";

/** Replaces `file`; `mode` says who may read it. Throws EspalierError "disk-full" or "file-unwritable". */
export async function writeWhole(file: string, content: string | Uint8Array, mode = 0o666): Promise<void> {
  const beside = `${file}.${randomUUID()}.part`;
  try {
    await writeFile(beside, content, { mode });
    await rename(beside, file);
  } catch (cause) {
    await rm(beside, { force: true }).catch(() => {});
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT")
      throw new EspalierError("disk-full", `no room to write ${file}`, { cause });
    throw new EspalierError("file-unwritable", `${file} cannot be written: ${message}`, { cause });
  }
}
