/** @file Writes small GGUF files for tests: metadata of every type, tensors from raw bytes. It checks nothing, so that it can write damaged files too. */

/** A metadata value with the type it is written as. */
export type GgufValue =
  | {
      readonly type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "u64" | "i64" | "f32" | "f64";
      readonly value: number | bigint;
    }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string | Uint8Array }
  | {
      readonly type: "array";
      readonly of: Exclude<GgufTypeName, "array">;
      readonly value: readonly (number | bigint | boolean | string | Uint8Array)[];
    };

export interface GgufTensor {
  readonly name: string | Uint8Array;
  /** The number of its GGML type. */
  readonly type: number;
  /** Fastest dimension first: [columns, rows]. */
  readonly shape: readonly (number | bigint)[];
  readonly data: Uint8Array;
  /** Place in the data section; by default behind the tensor before it, aligned. */
  readonly offset?: number | bigint;
}

export interface GgufFile {
  /** Default 3. */
  readonly version?: number;
  /** Pairs rather than a record, so that a key can be written twice. */
  readonly metadata: readonly (readonly [string | Uint8Array, GgufValue])[];
  readonly tensors: readonly GgufTensor[];
  /** What offsets are rounded up to; default 32. Does not write `general.alignment`. */
  readonly alignment?: number;
}

const typeIds = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  array: 9,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

export type GgufTypeName = keyof typeof typeIds;

function number(type: GgufTypeName, value: number | bigint): Buffer {
  const bytes = Buffer.alloc(8);
  switch (type) {
    case "u8":
      return bytes.subarray(0, bytes.writeUInt8(Number(value)));
    case "i8":
      return bytes.subarray(0, bytes.writeInt8(Number(value)));
    case "u16":
      return bytes.subarray(0, bytes.writeUInt16LE(Number(value)));
    case "i16":
      return bytes.subarray(0, bytes.writeInt16LE(Number(value)));
    case "u32":
      return bytes.subarray(0, bytes.writeUInt32LE(Number(value)));
    case "i32":
      return bytes.subarray(0, bytes.writeInt32LE(Number(value)));
    case "f32":
      return bytes.subarray(0, bytes.writeFloatLE(Number(value)));
    case "f64":
      return bytes.subarray(0, bytes.writeDoubleLE(Number(value)));
    case "i64":
      return bytes.subarray(0, bytes.writeBigInt64LE(BigInt(value)));
    case "u64":
      return bytes.subarray(0, bytes.writeBigUInt64LE(BigInt(value)));
    default:
      throw new TypeError(`${type} is not a number`);
  }
}

function string(text: string | Uint8Array): Buffer {
  const bytes = Buffer.from(text as string);
  return Buffer.concat([number("u64", bytes.length), bytes]);
}

function scalar(type: GgufTypeName, value: number | bigint | boolean | string | Uint8Array): Buffer {
  if (typeof value === "string" || value instanceof Uint8Array) return string(value);
  if (typeof value === "boolean") return Buffer.of(value ? 1 : 0);
  return number(type, value);
}

function valueBytes(value: GgufValue): Buffer {
  const head = number("u32", typeIds[value.type]);
  if (value.type !== "array") return Buffer.concat([head, scalar(value.type, value.value)]);
  return Buffer.concat([
    head,
    number("u32", typeIds[value.of]),
    number("u64", value.value.length),
    ...value.value.map((element) => scalar(value.of, element)),
  ]);
}

function roundUp(size: number, alignment: number): number {
  return Math.ceil(size / alignment) * alignment;
}

/** The bytes of a GGUF file (little endian). */
export function writeGguf(file: GgufFile): Buffer {
  const alignment = file.alignment ?? 32;
  const header = [
    Buffer.from("GGUF"),
    number("u32", file.version ?? 3),
    number("u64", file.tensors.length),
    number("u64", file.metadata.length),
  ];
  for (const [key, value] of file.metadata) header.push(string(key), valueBytes(value));
  const places: { at: number; data: Uint8Array }[] = [];
  let end = 0;
  for (const { name, type, shape, data, offset } of file.tensors) {
    const at = offset ?? roundUp(end, alignment);
    header.push(
      string(name),
      number("u32", shape.length),
      ...shape.map((size) => number("u64", size)),
      number("u32", type),
      number("u64", at),
    );
    // An offset that no file could have is only written into the table.
    if (offset === undefined || Number(offset) <= end + 1_048_576) {
      places.push({ at: Number(at), data });
      end = Math.max(end, Number(at) + data.length);
    }
  }
  const head = Buffer.concat(header);
  const start = roundUp(head.length, alignment);
  const out = Buffer.alloc(start + end);
  out.set(head);
  for (const { at, data } of places) out.set(data, start + at);
  return out;
}
