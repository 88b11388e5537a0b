/**
 * @file Opens a GGUF file (versions 2 and 3, little endian): metadata and the table of tensors are read and checked,
 * weights stay on disk until asked for. Afterwards every tensor lies inside the file and overlaps no other.
 */

import type { FileHandle } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import { GgufCursor, MoreBytes } from "./gguf-cursor.ts";
import { describeText, describeValue, type MetadataValue, readValue } from "./gguf-value.ts";
import { fill, openFile, readTensor } from "./open-file.ts";
import { placeTensors, readTensorInfo, type TensorFile, type TensorInfo } from "./tensor-table.ts";

/** An open file; it must not change while it is open. Dispose to close it. */
export interface Gguf extends TensorFile {
  readonly version: number;
  readonly fileSize: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
}

const firstRead = 4 << 20;
/** The largest known headers (a quarter of a million tokens) take about 16 MB. */
const mostHeader = 256 << 20;
const mostAlignment = 65_536;
const defaultAlignment = 32;

/**
 * Opens `path`. Throws EspalierError "file-not-found", "file-unreadable", "not-gguf", "unsupported-weight-type" (a
 * tensor type nobody knows), or "damaged-file" with the place of the damage.
 */
export async function openGguf(path: string): Promise<Gguf> {
  const { file, size } = await openFile(path);
  try {
    return await readHeader(path, file, size);
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(path: string, file: FileHandle, fileSize: number): Promise<Gguf> {
  let bytes: Buffer = Buffer.alloc(0);
  const cursor = new GgufCursor(path, bytes, fileSize);

  async function grow(needed: number): Promise<void> {
    if (needed > mostHeader) {
      throw cursor.damaged("header", `it goes on behind ${mostHeader} bytes, the most that is supported`);
    }
    const more = Buffer.allocUnsafe(Math.min(fileSize, Math.max(needed, 2 * bytes.length, firstRead)));
    bytes.copy(more);
    if (!(await fill(path, file, more.subarray(bytes.length), bytes.length))) {
      throw cursor.damaged("header", "the file became shorter while it was read");
    }
    bytes = more;
    cursor.extend(bytes);
  }

  /** Runs `read`, again from where it started when it ran out of bytes. */
  async function whole<T>(read: () => T): Promise<T> {
    const start = cursor.offset;
    for (;;) {
      try {
        return read();
      } catch (error) {
        if (!(error instanceof MoreBytes)) throw error;
        cursor.offset = start;
        await grow(error.size);
      }
    }
  }

  await grow(0);
  const version = readVersion(path, cursor, bytes);
  // The least a tensor and a key can take: empty names, one dimension, one byte of value.
  const tensorCount = cursor.count("number of tensors", 32);
  const keyCount = cursor.count("number of metadata keys", 13);

  const metadata = new Map<string, MetadataValue>();
  for (let i = 0; i < keyCount; i++) {
    await whole(() => {
      const at = cursor.offset;
      const key = cursor.name(`metadata key ${i}`);
      if (metadata.has(key))
        throw cursor.damaged(`metadata key ${i}`, `${describeText(key)} is there twice`, at);
      metadata.set(key, readValue(cursor, `metadata ${describeText(key)}`));
    });
  }
  const alignment = readAlignment(path, metadata);

  const tensors = new Map<string, TensorInfo>();
  for (let i = 0; i < tensorCount; i++) {
    await whole(() => {
      const at = cursor.offset;
      const info = readTensorInfo(cursor, i, alignment);
      if (tensors.has(info.name))
        throw cursor.damaged(`tensor ${i}`, `${describeText(info.name)} is there twice`, at);
      tensors.set(info.name, info);
    });
  }
  const dataStart = Math.ceil(cursor.offset / alignment) * alignment;
  return new OpenGguf(path, version, fileSize, metadata, placeTensors(cursor, tensors, dataStart), file);
}

function readVersion(path: string, cursor: GgufCursor, bytes: Buffer): number {
  const magic = bytes.subarray(0, 4);
  if (magic.toString("latin1") !== "GGUF") {
    const found = bytes.length === 0 ? "it is empty" : `it starts with bytes ${magic.toString("hex")}`;
    throw new EspalierError("not-gguf", `${path} is not a GGUF file: ${found}, expected 47475546 ("GGUF")`);
  }
  cursor.raw(4, "magic");
  const version = cursor.u32("version");
  if (version !== 2 && version !== 3) {
    // Read with the wrong byte order, a small version number has its bits at the top.
    const why = version > 0xffff ? "; the file seems to be big endian, which is not supported" : "";
    throw cursor.damaged("version", `${version} is not supported, 2 and 3 are${why}`, 4);
  }
  return version;
}

function readAlignment(path: string, metadata: ReadonlyMap<string, MetadataValue>): number {
  const entry = metadata.get("general.alignment");
  if (entry === undefined) return defaultAlignment;
  const value = entry.type === "u32" ? entry.value : Number.NaN;
  if (!(value >= 8 && value <= mostAlignment && Number.isInteger(Math.log2(value)))) {
    throw new EspalierError(
      "damaged-file",
      `${path}: metadata "general.alignment": ${describeValue(entry)} is not a power of two from 8 to ${mostAlignment} (u32)`,
    );
  }
  return value;
}

class OpenGguf implements Gguf {
  readonly path: string;
  readonly version: number;
  readonly fileSize: number;
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #file: FileHandle;

  constructor(
    path: string,
    version: number,
    fileSize: number,
    metadata: ReadonlyMap<string, MetadataValue>,
    tensors: ReadonlyMap<string, TensorInfo>,
    file: FileHandle,
  ) {
    this.path = path;
    this.version = version;
    this.fileSize = fileSize;
    this.metadata = metadata;
    this.tensors = tensors;
    this.#file = file;
  }

  read(tensor: TensorInfo, into: Uint8Array, from = 0): Promise<void> {
    return readTensor(this.path, this.#file, tensor, into, from);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
