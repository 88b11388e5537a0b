/**
 * @file Opens a safetensors file: 8 bytes with the header's length, a header in JSON, and the tensors, little endian. Nothing in it is
 * trusted. Afterwards every tensor lies inside the file and overlaps no other.
 */

import type { FileHandle } from "node:fs/promises";
import { EspalierError } from "../errors.ts";
import { ggmlTypeNamed } from "./ggml-types.ts";
import { describeText } from "./gguf-value.ts";
import { fill, openFile, readTensor } from "./open-file.ts";
import type { TensorFile, TensorInfo } from "./tensor-table.ts";

/** The format's own limit. */
const MOST_HEADER = 100_000_000;
const TYPES: Readonly<Record<string, string>> = {
  F64: "F64",
  F32: "F32",
  F16: "F16",
  BF16: "BF16",
  I64: "I64",
  I32: "I32",
  I16: "I16",
  I8: "I8",
  U8: "I8",
  BOOL: "I8",
};

/**
 * Opens `path`. Throws EspalierError "file-not-found", "file-unreadable", "unsupported-weight-type" for a type that is not known, or
 * "damaged-file".
 */
export async function openSafetensors(path: string): Promise<TensorFile> {
  const { file, size } = await openFile(path);
  try {
    const tensors = await readHeader(path, file, size);
    return {
      path,
      tensors,
      read: (tensor, into, from = 0) => readTensor(path, file, tensor, into, from),
      [Symbol.asyncDispose]: () => file.close(),
    };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readHeader(
  path: string,
  file: FileHandle,
  fileSize: number,
): Promise<ReadonlyMap<string, TensorInfo>> {
  const damaged = (what: string) => new EspalierError("damaged-file", `${path}: ${what}`);
  const start = new Uint8Array(8);
  if (!(await fill(path, file, start, 0)))
    throw damaged("it is no safetensors file: it has not even 8 bytes");
  const length = Number(new DataView(start.buffer).getBigUint64(0, true));
  if (length > MOST_HEADER || 8 + length > fileSize) {
    throw damaged(
      `it is no safetensors file: its header would have ${length} bytes, the file has ${fileSize}`,
    );
  }
  const header = new Uint8Array(length);
  if (!(await fill(path, file, header, 8))) throw damaged("it became shorter after it was opened");
  let entries: unknown;
  try {
    entries = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(header));
  } catch {
    throw damaged("its header is not JSON");
  }
  if (!isObject(entries)) throw damaged("its header is no JSON object");
  const placed: TensorInfo[] = [];
  for (const [name, entry] of Object.entries(entries)) {
    if (name === "__metadata__") continue;
    const what = `tensor ${describeText(name)}`;
    if (!isObject(entry)) throw damaged(`${what} has no description`);
    placed.push(tensorOf(path, name, entry, { first: 8 + length, bytes: fileSize - 8 - length }));
  }
  let before: TensorInfo | undefined;
  const filled = placed.filter(({ byteLength }) => byteLength > 0);
  for (const tensor of filled.sort((a, b) => a.offset - b.offset)) {
    if (before !== undefined && tensor.offset < before.offset + before.byteLength) {
      throw damaged(`tensor ${describeText(tensor.name)} overlaps tensor ${describeText(before.name)}`);
    }
    before = tensor;
  }
  return new Map(placed.map((tensor) => [tensor.name, tensor]));
}

/** The tensor that `entry` describes; `data` is where tensors lie in the file. */
function tensorOf(
  path: string,
  name: string,
  { dtype, shape, data_offsets: offsets }: Readonly<Record<string, unknown>>,
  data: { readonly first: number; readonly bytes: number },
): TensorInfo {
  const what = `${path}: tensor ${describeText(name)}`;
  const typeName = typeof dtype === "string" && Object.hasOwn(TYPES, dtype) ? TYPES[dtype] : undefined;
  if (typeName === undefined) {
    throw new EspalierError("unsupported-weight-type", `${what} is of type ${String(dtype)}`);
  }
  const type = ggmlTypeNamed(typeName);
  if (!isCounts(shape) || shape.length > 4) {
    throw new EspalierError("damaged-file", `${what} has no shape of up to 4 sizes`);
  }
  if (!isCounts(offsets) || offsets.length !== 2) {
    throw new EspalierError("damaged-file", `${what} does not say where it begins and ends`);
  }
  const [begin, end] = offsets as [number, number];
  const byteLength = shape.reduce((product, size) => product * size, type.blockBytes);
  if (end > data.bytes || end - begin !== byteLength) {
    throw new EspalierError(
      "damaged-file",
      `${what} lies at ${begin} to ${end} of ${data.bytes} bytes, but has ${byteLength}`,
    );
  }
  // Fastest dimension first, as in GGUF.
  const sizes = shape.length === 0 ? [1] : shape.toReversed();
  return { name, type, shape: sizes, offset: data.first + begin, byteLength };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCounts(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}
