/** @file The metadata values of a GGUF file: their types, and how one is read. Little endian, as file and host are. */

import type { GgufCursor } from "./gguf-cursor.ts";

export type NumberArray =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;

/** A metadata value with the type the file gives it. Arrays hold one type and are never nested. */
export type MetadataValue =
  | { readonly type: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "f64"; readonly value: number }
  | { readonly type: "u64" | "i64"; readonly value: bigint }
  | { readonly type: "bool"; readonly value: boolean }
  | { readonly type: "string"; readonly value: string }
  | {
      readonly type: "array";
      readonly of: "u8" | "i8" | "u16" | "i16" | "u32" | "i32" | "f32" | "f64" | "u64" | "i64";
      readonly value: NumberArray;
    }
  | { readonly type: "array"; readonly of: "bool"; readonly value: readonly boolean[] }
  | { readonly type: "array"; readonly of: "string"; readonly value: readonly string[] };

/** A text from the file as an error message shows it: in quotes, with control characters escaped, never longer than a line. */
export function describeText(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** A value as an error message shows it. */
export function describeValue(entry: MetadataValue): string {
  if (entry.type === "array") return `an array of ${entry.value.length} ${entry.of}`;
  if (entry.type !== "string") return `${entry.value} (${entry.type})`;
  return describeText(entry.value);
}

/** In the order of their numbers in a file. */
const typeNames = [
  "u8",
  "i8",
  "u16",
  "i16",
  "u32",
  "i32",
  "f32",
  "bool",
  "string",
  "array",
  "u64",
  "i64",
  "f64",
] as const;

const numberArrays = {
  u8: Uint8Array,
  i8: Int8Array,
  u16: Uint16Array,
  i16: Int16Array,
  u32: Uint32Array,
  i32: Int32Array,
  f32: Float32Array,
  f64: Float64Array,
  u64: BigUint64Array,
  i64: BigInt64Array,
} as const;

/** Reads type and value of the key that `what` names. */
export function readValue(cursor: GgufCursor, what: string): MetadataValue {
  const type = readType(cursor, what);
  if (type === "array") return readArray(cursor, what);
  if (type === "string") return { type, value: cursor.string(what) };
  if (type === "bool") return { type, value: readBool(cursor, what) };
  const value = readNumbers(cursor, type, 1, what)[0];
  return { type, value } as MetadataValue;
}

function readType(cursor: GgufCursor, what: string): (typeof typeNames)[number] {
  const at = cursor.offset;
  const id = cursor.u32(`type of ${what}`);
  const name = typeNames[id];
  if (name === undefined) {
    throw cursor.damaged(what, `value type ${id} is unknown; types go from 0 to ${typeNames.length - 1}`, at);
  }
  return name;
}

function readArray(cursor: GgufCursor, what: string): MetadataValue {
  const at = cursor.offset;
  const of = readType(cursor, what);
  if (of === "array") throw cursor.damaged(what, "arrays of arrays are not supported", at);
  const length = cursor.count(`array length of ${what}`, minimumBytes(of));
  if (of !== "string" && of !== "bool") {
    return { type: "array", of, value: readNumbers(cursor, of, length, what) };
  }
  // Grown by pushing: the announced length alone must not allocate anything.
  const element = `an element of ${what}`;
  if (of === "bool") {
    const value: boolean[] = [];
    for (let i = 0; i < length; i++) value.push(readBool(cursor, element));
    return { type: "array", of, value };
  }
  const value: string[] = [];
  for (let i = 0; i < length; i++) value.push(cursor.string(element));
  return { type: "array", of, value };
}

function minimumBytes(type: Exclude<(typeof typeNames)[number], "array">): number {
  if (type === "string") return 8;
  if (type === "bool") return 1;
  return numberArrays[type].BYTES_PER_ELEMENT;
}

function readBool(cursor: GgufCursor, what: string): boolean {
  const at = cursor.offset;
  const byte = cursor.u8(what);
  if (byte > 1) throw cursor.damaged(what, `${byte} is no boolean; it must be 0 or 1`, at);
  return byte === 1;
}

/** Copies, because numbers in a file are not aligned. */
function readNumbers(
  cursor: GgufCursor,
  type: keyof typeof numberArrays,
  length: number,
  what: string,
): NumberArray {
  const kind = numberArrays[type];
  const bytes = cursor.raw(length * kind.BYTES_PER_ELEMENT, what);
  const copy = new Uint8Array(bytes.length);
  copy.set(bytes);
  return new kind(copy.buffer);
}
