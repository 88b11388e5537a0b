/** @file Mutations of the bytes of a GGUF file: fields get numbers that break things, and pieces go, come and move. */

import type { Chance } from "./chance.ts";
import type { Layout, Role } from "./fields.ts";

/** Numbers at which sizes, sums and products go wrong, in 32 and 64 bits. */
const edges: readonly bigint[] = [
  ...[0, 1, 2, 3, 4, 7, 8, 9, 12, 13, 16, 31, 33, 63, 64, 127, 128, 255, 256, 1000, 65_535, 65_536].map(
    BigInt,
  ),
  ...[24, 31, 32, 40, 53, 56, 60, 61, 62, 63].flatMap((bit) => [
    (1n << BigInt(bit)) - 1n,
    1n << BigInt(bit),
    (1n << BigInt(bit)) + 1n,
  ]),
  (1n << 64n) - 1n,
  (1n << 64n) - 32n,
];

/** A number that is near `value` or an edge. */
export function nastyInteger(chance: Chance, value: bigint): bigint {
  if (chance.once(2)) return chance.of(edges);
  return chance.of([value + 1n, value - 1n, value * 2n, value / 2n, -value, value << 32n, value ^ 1n]);
}

const roles: readonly Role[] = [
  "version",
  "count",
  "count",
  "count",
  "length",
  "length",
  "type",
  "type",
  "number",
  "number",
  "number",
  "text",
  "rank",
  "size",
  "size",
  "tensor type",
  "offset",
  "offset",
];

type ByteMutation = (file: Buffer, layout: Layout, chance: Chance) => Buffer;

const overwrite: ByteMutation = (file, layout, chance) => {
  const fields = layout.fields.get(chance.of(roles));
  if (fields === undefined) return file;
  const { role, at, size } = chance.of(fields);
  if (at + size > file.length) return file;
  if (role === "text") {
    const length = 1 + chance.below(Math.min(size, 8));
    file.set(chance.bytes(length), at + chance.below(size - length + 1));
    return file;
  }
  const bits = 8 * size;
  let value = 0n;
  for (let i = size - 1; i >= 0; i--) value = (value << 8n) | BigInt(file[at + i]!);
  value = BigInt.asUintN(bits, nastyInteger(chance, value));
  for (let i = 0; i < size; i++, value >>= 8n) file[at + i] = Number(value & 255n);
  return file;
};

const swap: ByteMutation = (file, layout, chance) => {
  const fields = layout.fields.get(chance.of(roles));
  if (fields === undefined) return file;
  const one = chance.of(fields);
  const other = chance.of(fields);
  const size = Math.min(one.size, other.size);
  if (Math.max(one.at, other.at) + size > file.length) return file;
  const kept = Buffer.from(file.subarray(one.at, one.at + size));
  file.copy(file, one.at, other.at, other.at + size);
  kept.copy(file, other.at);
  return file;
};

const flip: ByteMutation = (file, layout, chance) => {
  const reach = chance.once(8) ? file.length : Math.min(file.length, layout.headerSize);
  for (let left = 1 + chance.below(8); left > 0 && reach > 0; left--) {
    const at = chance.below(reach);
    file[at] = file[at]! ^ (1 << chance.below(8));
  }
  return file;
};

/** A place in the header, often where a field begins. */
function place(file: Buffer, layout: Layout, chance: Chance): number {
  const fields = layout.fields.get(chance.of(roles));
  const at = fields === undefined || chance.once(3) ? chance.below(layout.headerSize) : chance.of(fields).at;
  return Math.min(at, file.length);
}

const truncate: ByteMutation = (file, layout, chance) =>
  file.subarray(0, chance.once(3) ? chance.below(file.length + 1) : place(file, layout, chance));

const remove: ByteMutation = (file, layout, chance) => {
  const from = place(file, layout, chance);
  return Buffer.concat([file.subarray(0, from), file.subarray(from + chance.of([1, 2, 4, 8, 12, 32, 100]))]);
};

const insert: ByteMutation = (file, layout, chance) => {
  const at = place(file, layout, chance);
  const length = chance.of([1, 4, 8, 32, 100]);
  const piece = chance.once(2) ? chance.bytes(length) : Buffer.from(file.subarray(at, at + length));
  return Buffer.concat([file.subarray(0, at), piece, file.subarray(at)]);
};

const all: readonly ByteMutation[] = [
  overwrite,
  overwrite,
  overwrite,
  overwrite,
  overwrite,
  swap,
  flip,
  truncate,
  remove,
  insert,
];

/** A file with one to three mutations; `file` itself stays as it is. */
export function mutateBytes(file: Buffer, layout: Layout, chance: Chance): Buffer {
  let bytes: Buffer = Buffer.from(file);
  for (let left = chance.of([1, 1, 1, 2, 3]); left > 0; left--) {
    bytes = chance.of(all)(bytes, layout, chance);
  }
  return bytes;
}
