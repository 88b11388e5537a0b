/** @file Finds one file in a ZIP archive (a Python wheel is one) and unpacks it as a stream. Archives below 4 GB, no encryption. */

import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import type { Readable } from "node:stream";
import { createInflateRaw } from "node:zlib";

const endRecord = { signature: 0x06054b50, bytes: 22 };
const entryRecord = { signature: 0x02014b50, bytes: 46 };
const localHeaderBytes = 30;
const stored = 0;
const deflated = 8;

/** The unpacked bytes of the first file whose name ends with `suffix`. Throws Error when `path` is no archive that has one. */
export async function unzip(path: string, suffix: string): Promise<Readable> {
  const file = await open(path, "r");
  try {
    const read = async (length: number, position: number): Promise<Buffer> => {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    };
    // The end record comes last, but for a comment of up to 64 KiB.
    const { size } = await file.stat();
    const tail = await read(
      Math.min(size, endRecord.bytes + 65_535),
      Math.max(0, size - endRecord.bytes - 65_535),
    );
    let end = tail.length - endRecord.bytes;
    while (end >= 0 && tail.readUInt32LE(end) !== endRecord.signature) end--;
    if (end < 0) throw new Error(`${path} is not a ZIP archive`);

    const directory = await read(tail.readUInt32LE(end + 12), tail.readUInt32LE(end + 16));
    for (let at = 0; at + entryRecord.bytes <= directory.length; ) {
      if (directory.readUInt32LE(at) !== entryRecord.signature) break;
      const nameBytes = directory.readUInt16LE(at + 28);
      const name = directory.toString("utf8", at + entryRecord.bytes, at + entryRecord.bytes + nameBytes);
      if (name.endsWith(suffix)) {
        const method = directory.readUInt16LE(at + 10);
        const packed = directory.readUInt32LE(at + 20);
        const header = directory.readUInt32LE(at + 42);
        // The local header has its own name and extra field, which may be longer than the directory's.
        const local = await read(localHeaderBytes, header);
        const start = header + localHeaderBytes + local.readUInt16LE(26) + local.readUInt16LE(28);
        return unpack(path, start, packed, method);
      }
      at += entryRecord.bytes + nameBytes + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
    }
    throw new Error(`${path} has no file that ends with ${suffix}`);
  } finally {
    await file.close();
  }
}

function unpack(path: string, start: number, packed: number, method: number): Readable {
  if (method !== stored && method !== deflated)
    throw new Error(`${path} is packed by an unknown method (${method})`);
  const bytes = createReadStream(path, { start, end: start + packed - 1 });
  if (method === stored) return bytes;
  const inflate = createInflateRaw();
  bytes.on("error", (error) => inflate.destroy(error));
  return bytes.pipe(inflate);
}
