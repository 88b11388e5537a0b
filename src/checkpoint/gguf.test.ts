import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GgufFile, type GgufTensor, writeGguf } from "../../test/gguf-writer.ts";
import { EspalierError, type EspalierErrorCode } from "../errors.ts";
import { type Gguf, openGguf } from "./gguf.ts";

let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-gguf-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function openBytes(bytes: Uint8Array): Promise<Gguf> {
  const path = join(folder, `${files++}.gguf`);
  await writeFile(path, bytes);
  return await openGguf(path);
}

async function failure(bytes: Uint8Array): Promise<EspalierError> {
  try {
    const gguf = await openBytes(bytes);
    await gguf[Symbol.asyncDispose]();
  } catch (error) {
    if (error instanceof EspalierError) return error;
    throw error;
  }
  throw new Error("the file was accepted");
}

function bytesOf(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 7 + 3) & 255);
}

function f32Tensor(name: string, columns: number, more: Partial<GgufTensor> = {}): GgufTensor {
  return { name, type: 0, shape: [columns], data: bytesOf(4 * columns), ...more };
}

const small: GgufFile = {
  metadata: [
    ["a.u8", { type: "u8", value: 200 }],
    ["a.i8", { type: "i8", value: -100 }],
    ["a.u16", { type: "u16", value: 60_000 }],
    ["a.i16", { type: "i16", value: -30_000 }],
    ["a.u32", { type: "u32", value: 4_000_000_000 }],
    ["a.i32", { type: "i32", value: -2_000_000_000 }],
    ["a.u64", { type: "u64", value: 18_446_744_073_709_551_615n }],
    ["a.i64", { type: "i64", value: -9_223_372_036_854_775_808n }],
    ["a.f32", { type: "f32", value: 0.5 }],
    ["a.f64", { type: "f64", value: 0.1 }],
    ["a.bool", { type: "bool", value: true }],
    ["a.string", { type: "string", value: "ein Spalier \u{1f331} \ufffd" }],
    ["a.strings", { type: "array", of: "string", value: ["", "Ġt", "木"] }],
    ["a.i32s", { type: "array", of: "i32", value: [1, -2, 3] }],
    ["a.f32s", { type: "array", of: "f32", value: [0.25, -8] }],
    ["a.u64s", { type: "array", of: "u64", value: [1n, 2n ** 63n] }],
    ["a.bools", { type: "array", of: "bool", value: [true, false] }],
    ["a.empty", { type: "array", of: "u16", value: [] }],
  ],
  tensors: [
    f32Tensor("norm", 5),
    { name: "matrix", type: 3, shape: [64, 3], data: bytesOf(2 * 20 * 3) },
    { name: "cube", type: 1, shape: [2, 3, 4], data: bytesOf(48) },
  ],
};

describe("a valid file", () => {
  test("gives back all metadata and tensors", async () => {
    await using gguf = await openBytes(writeGguf(small));
    const values = Object.fromEntries([...gguf.metadata].map(([key, { value }]) => [key, value]));
    expect(values).toEqual({
      "a.u8": 200,
      "a.i8": -100,
      "a.u16": 60_000,
      "a.i16": -30_000,
      "a.u32": 4_000_000_000,
      "a.i32": -2_000_000_000,
      "a.u64": 18_446_744_073_709_551_615n,
      "a.i64": -9_223_372_036_854_775_808n,
      "a.f32": 0.5,
      "a.f64": 0.1,
      "a.bool": true,
      "a.string": "ein Spalier \u{1f331} \ufffd",
      "a.strings": ["", "Ġt", "木"],
      "a.i32s": Int32Array.of(1, -2, 3),
      "a.f32s": Float32Array.of(0.25, -8),
      "a.u64s": BigUint64Array.of(1n, 2n ** 63n),
      "a.bools": [true, false],
      "a.empty": new Uint16Array(0),
    });
    expect(gguf.metadata.get("a.i32s")).toMatchObject({ type: "array", of: "i32" });
    expect([...gguf.tensors.keys()]).toEqual(["norm", "matrix", "cube"]);
    expect(gguf.tensors.get("matrix")).toMatchObject({
      type: { name: "Q4_1" },
      shape: [64, 3],
      byteLength: 120,
    });
    for (const { name, data } of small.tensors) {
      const tensor = gguf.tensors.get(name as string)!;
      const whole = new Uint8Array(tensor.byteLength);
      await gguf.read(tensor, whole);
      expect(whole).toEqual(data);
      const part = new Uint8Array(7);
      await gguf.read(tensor, part, 5);
      expect(part).toEqual(data.subarray(5, 12));
    }
  });

  test("of version 2, and one without anything in it, are read", async () => {
    await using second = await openBytes(writeGguf({ ...small, version: 2 }));
    expect(second.version).toBe(2);
    await using empty = await openBytes(writeGguf({ metadata: [], tensors: [] }));
    expect(empty.tensors.size).toBe(0);
  });

  test("keeps to its alignment", async () => {
    const file = {
      metadata: [["general.alignment", { type: "u32", value: 256 }]] as const,
      tensors: [f32Tensor("a", 3), f32Tensor("b", 3)],
    };
    await using gguf = await openBytes(writeGguf({ ...file, alignment: 256 }));
    const offsets = [...gguf.tensors.values()].map(({ offset }) => offset);
    expect(offsets).toEqual([256, 512]);
  });

  test("may have a header longer than one read, in many keys or in one", async () => {
    const long = Array.from({ length: 300_000 }, (_, i) => `token number ${i}`);
    await using gguf = await openBytes(
      writeGguf({
        metadata: [
          ["one", { type: "array", of: "string", value: long }],
          ["two", { type: "array", of: "u32", value: [1, 2] }],
          ["three", { type: "string", value: "x".repeat(5_000_000) }],
        ],
        tensors: [f32Tensor("t", 4)],
      }),
    );
    expect(gguf.metadata.get("one")!.value).toEqual(long);
    expect(gguf.metadata.get("three")!.value).toHaveLength(5_000_000);
    expect(gguf.tensors.size).toBe(1);
  });
});

describe("reading a tensor", () => {
  test("outside of it is a RangeError", async () => {
    await using gguf = await openBytes(writeGguf(small));
    const norm = gguf.tensors.get("norm")!;
    await expect(gguf.read(norm, new Uint8Array(21))).rejects.toThrow(RangeError);
    await expect(gguf.read(norm, new Uint8Array(1), 20)).rejects.toThrow(RangeError);
    await expect(gguf.read(norm, new Uint8Array(1), -1)).rejects.toThrow(RangeError);
    await gguf.read(norm, new Uint8Array(0), 20);
  });

  test("from a file that has become shorter is an error", async () => {
    await using gguf = await openBytes(writeGguf(small));
    await truncate(gguf.path, gguf.fileSize - 1);
    const cube = gguf.tensors.get("cube")!;
    await expect(gguf.read(cube, new Uint8Array(48))).rejects.toMatchObject({ code: "damaged-file" });
  });
});

describe("what is no file", () => {
  test("a missing one, a folder", async () => {
    await expect(openGguf(join(folder, "missing"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(openGguf(folder)).rejects.toMatchObject({ code: "file-unreadable" });
  });

  test.each([
    ["nothing", ""],
    ["three bytes", "GGU"],
    ["text", "This is not a model, but it is long enough."],
    ["another format", "ggjt-and-so-on-and-so-on-and-so-on"],
  ])("%s is not GGUF", async (_, text) => {
    const error = await failure(Buffer.from(text));
    expect(error.code).toBe("not-gguf");
    expect(error.message).toContain(folder);
  });
});

/** A copy with a number written over it at `at`. */
function patched(bytes: Buffer, at: number, value: number | bigint): Buffer {
  const copy = Buffer.from(bytes);
  if (typeof value === "bigint") copy.writeBigUInt64LE(value, at);
  else copy.writeUInt32LE(value, at);
  return copy;
}

describe("damage is named with its place", () => {
  const one: GgufFile = { metadata: [["key", { type: "u32", value: 7 }]], tensors: [] };
  const header = 24;
  const strings = writeGguf({
    metadata: [["list", { type: "array", of: "string", value: ["a", "b"] }]],
    tensors: [],
  });
  const elements = header + 8 + 4 + 4;
  const tensors = (...list: GgufTensor[]) => writeGguf({ metadata: [], tensors: list });
  const wild = (value: number | bigint | string, type: "u32" | "u64" | "string" = "u32") =>
    writeGguf({ metadata: [["general.alignment", { type, value } as never]], tensors: [] });

  const cases: [name: string, bytes: Buffer, code: EspalierErrorCode, says: RegExp][] = [
    ["version 1", writeGguf({ ...one, version: 1 }), "damaged-file", /version.*byte 4.*1 is not supported/],
    ["version 4", writeGguf({ ...one, version: 4 }), "damaged-file", /4 is not supported, 2 and 3 are$/],
    ["big endian", patched(writeGguf(one), 4, 0x03000000), "damaged-file", /big endian/],
    ["tensor count", patched(writeGguf(one), 8, 2n ** 63n), "damaged-file", /number of tensors, at byte 8/],
    ["key count", patched(writeGguf(one), 16, 1_000_000_000n), "damaged-file", /keys.*1000000000.*room for/],
    ["key length", patched(writeGguf(one), header, 2n ** 40n), "damaged-file", /metadata key 0, at byte 24/],
    ["value type", patched(writeGguf(one), header + 11, 13), "damaged-file", /"key".*type 13 is unknown/],
    ["element type", patched(strings, elements, 99), "damaged-file", /"list".*type 99/],
    ["nested array", patched(strings, elements, 9), "damaged-file", /"list".*arrays of arrays/],
    ["array length", patched(strings, elements + 4, 2n ** 33n), "damaged-file", /"list".*8589934592/],
    ["string length", patched(strings, elements + 12, 200n), "damaged-file", /element of metadata "list"/],
    [
      "boolean of 2",
      Buffer.concat([patched(writeGguf(one), header + 11, 7).subarray(0, header + 15), Buffer.of(2)]),
      "damaged-file",
      /"key".*2 is no boolean/,
    ],
    [
      "key not UTF-8",
      writeGguf({ metadata: [[Buffer.of(0x61, 0xff), { type: "u8", value: 1 }]], tensors: [] }),
      "damaged-file",
      /metadata key 0.*not valid UTF-8/,
    ],
    [
      "string not UTF-8",
      writeGguf({ metadata: [["s", { type: "string", value: Buffer.of(0xc3) }]], tensors: [] }),
      "damaged-file",
      /"s".*not valid UTF-8/,
    ],
    [
      "tensor name not UTF-8",
      tensors(f32Tensor("", 1, { name: Buffer.of(0xed, 0xa0, 0x80) })),
      "damaged-file",
      /tensor 0.*not valid UTF-8/,
    ],
    [
      "long key",
      writeGguf({ metadata: [["k".repeat(70_000), { type: "u8", value: 1 }]], tensors: [] }),
      "damaged-file",
      /70000 characters/,
    ],
    [
      "key twice",
      writeGguf({ ...one, metadata: [...one.metadata, ...one.metadata] }),
      "damaged-file",
      /"key" is there twice/,
    ],
    ["tensor twice", tensors(f32Tensor("t", 1), f32Tensor("t", 1)), "damaged-file", /"t" is there twice/],
    ["no dimension", tensors(f32Tensor("t", 1, { shape: [] })), "damaged-file", /"t".*0 dimensions/],
    [
      "five dimensions",
      tensors(f32Tensor("t", 1, { shape: [1, 1, 1, 1, 1] })),
      "damaged-file",
      /5 dimensions/,
    ],
    [
      "a dimension of 0",
      tensors(f32Tensor("t", 1, { shape: [1, 0] })),
      "damaged-file",
      /"t".*dimension 1 is 0/,
    ],
    [
      "huge product",
      tensors(f32Tensor("t", 1, { shape: [2n ** 40n, 2n ** 40n] })),
      "damaged-file",
      /dimension 1.*2\^53/,
    ],
    [
      "huge dimension",
      tensors(f32Tensor("t", 1, { shape: [2n ** 64n - 1n] })),
      "damaged-file",
      /dimension 0/,
    ],
    ["large dimension", tensors(f32Tensor("t", 1, { shape: [2n ** 50n] })), "damaged-file", /beyond the end/],
    ["tensor type", tensors(f32Tensor("t", 1, { type: 4 })), "unsupported-weight-type", /"t".*type 4/],
    [
      "broken block",
      tensors(f32Tensor("t", 40, { type: 2 })),
      "damaged-file",
      /40 columns.*Q4_0 blocks of 32/,
    ],
    ["offset too high", tensors(f32Tensor("t", 1, { offset: 2n ** 63n })), "damaged-file", /"t".*beyond/],
    ["unaligned offset", tensors(f32Tensor("t", 1, { offset: 4 })), "damaged-file", /offset 4.*alignment 32/],
    [
      "overlap",
      tensors(f32Tensor("a", 9), f32Tensor("b", 9, { offset: 32 })),
      "damaged-file",
      /"b".*overlaps tensor "a"/,
    ],
    ["data cut off", tensors(f32Tensor("t", 9)).subarray(0, -1), "damaged-file", /"t".*beyond the end/],
    ["alignment 0", wild(0), "damaged-file", /general.alignment.*0/],
    ["alignment 48", wild(48), "damaged-file", /48 \(u32\) is not a power of two/],
    ["absurd alignment", wild(2 ** 31), "damaged-file", /2147483648/],
    ["alignment of another type", wild(32n, "u64"), "damaged-file", /32 \(u64\)/],
  ];

  test.each(cases)("%s", async (_, bytes, code, says) => {
    const error = await failure(bytes);
    expect(error.message).toMatch(says);
    expect(error.code).toBe(code);
    expect(error.message).toContain(folder);
  });

  test("wherever the file is cut off", async () => {
    const bytes = writeGguf(small);
    for (let length = 0; length < bytes.length; length += length < 400 ? 1 : 13) {
      const { code } = await failure(bytes.subarray(0, length));
      expect(code).toBe(length < 4 ? "not-gguf" : "damaged-file");
    }
  });
});

test("any damage is either harmless or an EspalierError", async () => {
  const original = writeGguf(small);
  const patch = fc.record({
    at: fc.nat(original.length - 9),
    value: fc.oneof(
      fc.constantFrom(0n, 1n, 2n ** 31n, 2n ** 32n, 2n ** 53n, 2n ** 64n - 1n),
      fc.bigInt(0n, 2n ** 64n - 1n),
    ),
    width: fc.constantFrom(1, 2, 4, 8),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.array(patch, { minLength: 1, maxLength: 3 }),
      fc.option(fc.nat(original.length)),
      async (patches, cut) => {
        const bytes = Buffer.from(original);
        const word = Buffer.alloc(8);
        for (const { at, value, width } of patches) {
          word.writeBigUInt64LE(value);
          word.copy(bytes, at, 0, width);
        }
        try {
          await using gguf = await openBytes(bytes.subarray(0, cut ?? bytes.length));
          for (const tensor of gguf.tensors.values()) {
            expect(tensor.offset + tensor.byteLength).toBeLessThanOrEqual(gguf.fileSize);
            await gguf.read(tensor, new Uint8Array(tensor.byteLength));
          }
        } catch (error) {
          expect(error).toBeInstanceOf(EspalierError);
        }
      },
    ),
    { numRuns: 1500 },
  );
});
