/**
 * @file What was learnt from a model's texts, as a file that all its methods share. Little-endian: magic, version, SHA-256 of the vocabulary; then for
 * each memory its kind (0: int32, 1: float64), count and length of its name, the name, the numbers; at the end a CRC-32 of all before it.
 * Whoever reads finds one that is whole. Only its user may read it.
 */

import { readFile, stat } from "node:fs/promises";
import { crc32 } from "node:zlib";
import type { Kept, Numbers } from "../draft/learnt.ts";
import { EspalierError } from "../errors.ts";
import { writeWhole } from "./whole-file.ts";

const MAGIC = 0x4c505345; // "ESPL"
const VERSION = 2;
/** Magic, version, 32 bytes of hash; and of a memory, before its name. */
const HEADER_BYTES = 40;
const ENTRY_BYTES = 12;
const SUM_BYTES = 4;
const KINDS = [Int32Array, Float64Array] as const;
const NAME = /^[a-z0-9.-]{1,64}$/;
/** More than the largest vocabulary takes. */
const MOST_BYTES = 64 << 20;

/**
 * Writes `kept` for models of a vocabulary, given its fingerprint in hex. Throws EspalierError "disk-full" or
 * "file-unwritable".
 */
export async function writeState(file: string, fingerprint: string, kept: Kept): Promise<void> {
  await writeWhole(file, encodeState(fingerprint, kept), 0o600);
}

/**
 * What is in `file`, which has to be of a vocabulary with that fingerprint. Throws EspalierError "file-not-found", "file-unreadable" or
 * "bad-state".
 */
export async function readState(file: string, fingerprint: string): Promise<Map<string, Numbers>> {
  const bytes = await read(file);
  const refuse = (why: string) => badState(file, why);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length - SUM_BYTES;
  if (bytes.length < 8 || view.getUint32(0, true) !== MAGIC) throw refuse("it starts with other bytes");
  const version = view.getUint32(4, true);
  if (version !== VERSION) throw refuse(`it has version ${version}, this program reads ${VERSION}`);
  if (end < HEADER_BYTES || view.getUint32(end, true) !== crc32(bytes.subarray(0, end)))
    throw refuse("its checksum is wrong");
  if (hex(bytes.subarray(8, HEADER_BYTES)) !== fingerprint) throw refuse("it is of another vocabulary");
  const kept = new Map<string, Numbers>();
  for (let at = HEADER_BYTES; at < end; ) {
    if (at + ENTRY_BYTES > end) throw refuse("it ends within a memory");
    const [kind, count, letters] = [0, 4, 8].map((offset) => view.getUint32(at + offset, true));
    const make = KINDS[kind!];
    const from = at + ENTRY_BYTES + letters!;
    const name = String.fromCharCode(...bytes.subarray(at + ENTRY_BYTES, Math.min(from, at + 100)));
    if (make === undefined || !NAME.test(name)) throw refuse("it holds a memory of no known kind");
    at = from + count! * make.BYTES_PER_ELEMENT;
    if (at > end) throw refuse("it ends within a memory");
    const values = new make(count!);
    const get = make === Int32Array ? view.getInt32.bind(view) : view.getFloat64.bind(view);
    for (let i = 0; i < values.length; i++) values[i] = get(from + i * make.BYTES_PER_ELEMENT, true);
    kept.set(name, values);
  }
  return kept;
}

/** The error for a file that holds what cannot be used; `why` goes on from "it is no saved state for this model:". */
export function badState(file: string, why: string): EspalierError {
  return new EspalierError(
    "bad-state",
    `${file} is no saved state for this model: ${why}; give another file, or delete it and begin anew`,
  );
}

/** The bytes of such a file. */
export function encodeState(fingerprint: string, kept: Kept): Uint8Array {
  const sizes = [...kept].map(([name, values]) => ENTRY_BYTES + name.length + values.byteLength);
  const bytes = new Uint8Array(sizes.reduce((sum, size) => sum + size, HEADER_BYTES + SUM_BYTES));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, VERSION, true);
  bytes.set(Buffer.from(fingerprint, "hex"), 8);
  let at = HEADER_BYTES;
  for (const [name, values] of kept) {
    if (!NAME.test(name)) throw new Error(`internal: "${name}" is no name for a memory`);
    const kind = values instanceof Int32Array ? 0 : 1;
    for (const [i, value] of [kind, values.length, name.length].entries())
      view.setUint32(at + 4 * i, value, true);
    at += ENTRY_BYTES;
    for (const letter of name) view.setUint8(at++, letter.charCodeAt(0));
    const set = kind === 0 ? view.setInt32.bind(view) : view.setFloat64.bind(view);
    for (let i = 0; i < values.length; i++) set(at + i * values.BYTES_PER_ELEMENT, values[i]!, true);
    at += values.byteLength;
  }
  view.setUint32(at, crc32(bytes.subarray(0, at)), true);
  return bytes;
}

async function read(file: string): Promise<Uint8Array> {
  try {
    const info = await stat(file);
    // Opening a pipe would wait for a writer.
    if (!info.isFile()) throw new Error("it is not a regular file");
    if (info.size > MOST_BYTES) throw badState(file, `it has ${info.size} bytes, more than any has`);
    return await readFile(file);
  } catch (cause) {
    if (cause instanceof EspalierError) throw cause;
    if ((cause as NodeJS.ErrnoException).code === "ENOENT")
      throw new EspalierError("file-not-found", `there is no file ${file}`, { cause });
    throw new EspalierError("file-unreadable", `${file} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}
