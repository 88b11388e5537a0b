/** @file Where the parts of a GGUF header lie, so that a mutation can aim at one kind of them. Reads valid files only. */

export type Role =
  | "version"
  | "count"
  | "length"
  | "type"
  | "number"
  | "text"
  | "rank"
  | "size"
  | "tensor type"
  | "offset";

/** `size` bytes at `at`. */
export interface Field {
  readonly role: Role;
  readonly at: number;
  readonly size: number;
}

export interface Layout {
  readonly fields: ReadonlyMap<Role, readonly Field[]>;
  /** Bytes of the header: everything before the weights. */
  readonly headerSize: number;
}

/** Bytes of the value types by their numbers; 0 for strings and arrays. */
const valueBytes = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8] as const;
const STRING = 8;
const ARRAY = 9;

export function layoutOf(file: Buffer): Layout {
  const fields = new Map<Role, Field[]>();
  let at = 4;
  const note = (role: Role, size: number): number => {
    const list = fields.get(role);
    if (list) list.push({ role, at, size });
    else fields.set(role, [{ role, at, size }]);
    at += size;
    return at - size;
  };
  const u32 = (role: Role) => file.readUInt32LE(note(role, 4));
  const u64 = (role: Role) => Number(file.readBigUInt64LE(note(role, 8)));
  const text = () => {
    const length = u64("length");
    if (length > 0) note("text", length);
  };
  const value = (type: number) => {
    if (type === STRING) text();
    else note("number", valueBytes[type]!);
  };

  u32("version");
  const tensors = u64("count");
  const keys = u64("count");
  for (let key = 0; key < keys; key++) {
    text();
    const type = u32("type");
    if (type === ARRAY) {
      const of = u32("type");
      for (let left = u64("count"); left > 0; left--) value(of);
    } else value(type);
  }
  for (let tensor = 0; tensor < tensors; tensor++) {
    text();
    for (let left = u32("rank"); left > 0; left--) u64("size");
    u32("tensor type");
    u64("offset");
  }
  return { fields, headerSize: at };
}
