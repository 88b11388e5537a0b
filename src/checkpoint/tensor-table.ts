/** @file The table of tensors in a GGUF file: what each one is and where its bytes lie. */

import { EspalierError } from "../errors.ts";
import { type GgmlType, ggmlType } from "./ggml-types.ts";
import type { GgufCursor } from "./gguf-cursor.ts";
import { describeText } from "./gguf-value.ts";

export interface TensorInfo {
  readonly name: string;
  readonly type: GgmlType;
  /** 1 to 4 sizes, fastest first: a matrix is [columns, rows]. */
  readonly shape: readonly number[];
  /** First byte, counted from the start of the file. */
  readonly offset: number;
  readonly byteLength: number;
}

/** An open file of tensors: GGUF or safetensors. */
export interface TensorFile extends AsyncDisposable {
  readonly path: string;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /**
   * Fills `into` with the bytes of `tensor` that start at its byte `from`, default 0. Throws RangeError when the tensor does not
   * have them, EspalierError "damaged-file" when the file has shrunk meanwhile and "file-unreadable" when it cannot be read.
   */
  read(tensor: TensorInfo, into: Uint8Array, from?: number): Promise<void>;
}

/**
 * The entry at the cursor. Its offset still counts from the start of the data; {@link placeTensors} makes it absolute.
 */
export function readTensorInfo(cursor: GgufCursor, index: number, alignment: number): TensorInfo {
  const name = cursor.name(`tensor ${index}`);
  const what = `tensor ${describeText(name)}`;
  const at = cursor.offset;
  const rank = cursor.u32(what);
  if (rank < 1 || rank > 4) throw cursor.damaged(what, `${rank} dimensions; 1 to 4 are allowed`, at);
  const shape: number[] = [];
  let elements = 1;
  for (let axis = 0; axis < rank; axis++) {
    const size = cursor.u64(what);
    if (size === 0n) throw cursor.damaged(what, `dimension ${axis} is 0`, at);
    elements *= Number(size);
    if (elements > Number.MAX_SAFE_INTEGER) {
      throw cursor.damaged(what, `dimension ${axis} is ${size}: more than 2^53 values in all`, at);
    }
    shape.push(Number(size));
  }
  const typeId = cursor.u32(what);
  const type = ggmlType(typeId);
  if (type === undefined) {
    throw new EspalierError(
      "unsupported-weight-type",
      `${cursor.path}: ${what}: weight type ${typeId} is unknown`,
    );
  }
  const columns = shape[0]!;
  if (columns % type.blockSize !== 0) {
    throw cursor.damaged(
      what,
      `${columns} columns are not whole ${type.name} blocks of ${type.blockSize}`,
      at,
    );
  }
  const offset = cursor.u64(what);
  if (offset % BigInt(alignment) !== 0n) {
    throw cursor.damaged(what, `its offset ${offset} is not a multiple of the alignment ${alignment}`, at);
  }
  const byteLength = (elements / type.blockSize) * type.blockBytes;
  return { name, type, shape, offset: Number(offset), byteLength };
}

/** The same tensors with absolute offsets, after a check that each lies inside the file and none overlaps another. */
export function placeTensors(
  cursor: GgufCursor,
  tensors: ReadonlyMap<string, TensorInfo>,
  dataStart: number,
): ReadonlyMap<string, TensorInfo> {
  const placed = [...tensors.values()].map((info) => ({ ...info, offset: dataStart + info.offset }));
  let before: TensorInfo | undefined;
  for (const info of placed.toSorted((a, b) => a.offset - b.offset)) {
    const what = `tensor ${describeText(info.name)}`;
    if (info.offset + info.byteLength > cursor.fileSize) {
      throw cursor.damaged(
        what,
        `its ${info.byteLength} bytes go beyond the end of the file at ${cursor.fileSize}`,
        info.offset,
      );
    }
    if (before !== undefined && info.offset < before.offset + before.byteLength) {
      throw cursor.damaged(what, `it overlaps tensor ${describeText(before.name)}`, info.offset);
    }
    before = info;
  }
  return new Map(placed.map((info) => [info.name, info]));
}
