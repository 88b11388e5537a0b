import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { openSafetensors } from "./safetensors.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-safetensors-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** A file with that header, given as an object or as its text, and `size` bytes 0, 1, 2 … of data. */
async function put(header: unknown, size: number, length?: bigint): Promise<string> {
  const text = Buffer.from(typeof header === "string" ? header : JSON.stringify(header));
  const start = Buffer.alloc(8);
  start.writeBigUInt64LE(length ?? BigInt(text.length));
  const path = join(folder, "model.safetensors");
  await writeFile(path, Buffer.concat([start, text, Buffer.from(Array.from({ length: size }, (_, i) => i))]));
  return path;
}

const tensor = (dtype: unknown, shape: unknown, data_offsets: unknown) => ({ dtype, shape, data_offsets });

describe("openSafetensors", () => {
  it("finds tensors, fastest dimension first, and reads their bytes", async () => {
    const header = {
      __metadata__: { format: "pt" },
      b: tensor("F32", [], [12, 16]),
      a: tensor("BF16", [2, 3], [0, 12]),
      none: tensor("I64", [0, 4], [12, 12]),
    };
    await using file = await openSafetensors(await put(header, 16));
    expect([...file.tensors.keys()]).toEqual(["b", "a", "none"]);
    const [a, b] = [file.tensors.get("a")!, file.tensors.get("b")!];
    expect(a).toMatchObject({ shape: [3, 2], byteLength: 12, type: { name: "BF16" } });
    expect(b).toMatchObject({ shape: [1], byteLength: 4, type: { name: "F32" } });
    const bytes = new Uint8Array(3);
    await file.read(a, bytes, 5);
    expect([...bytes]).toEqual([5, 6, 7]);
    await file.read(b, bytes);
    expect([...bytes]).toEqual([12, 13, 14]);
    await expect(file.read(b, bytes, 2)).rejects.toThrow(RangeError);
  });

  const one = (entry: unknown) => ({ a: entry });
  it.each([
    ["a header longer than the file", {}, 4, 1000n, /header would have 1000 bytes/],
    ["a header of 2^63 bytes", {}, 4, 2n ** 63n, /header would have 9223372036854776000 bytes/],
    ["no JSON", "{", 0, undefined, /not JSON/],
    ["bytes that are no text", "\ud800", 0, 2n, /not JSON/],
    ["a list", [], 0, undefined, /no JSON object/],
    ["a tensor without description", one(null), 0, undefined, /"a" has no description/],
    ["a shape that is none", one(tensor("F32", [1, -1], [0, 4])), 4, undefined, /"a" has no shape/],
    ["too many dimensions", one(tensor("F32", [1, 1, 1, 1, 1], [0, 4])), 4, undefined, /no shape of up to 4/],
    ["sizes beyond all numbers", one(tensor("F32", [2 ** 53, 1], [0, 4])), 4, undefined, /no shape/],
    ["a product beyond the file", one(tensor("F32", [2 ** 40, 2 ** 40], [0, 4])), 4, undefined, /but has/],
    ["no offsets", one(tensor("F32", [1], [0])), 4, undefined, /where it begins/],
    ["an end beyond the file", one(tensor("F32", [2], [0, 8])), 4, undefined, /0 to 8 of 4 bytes/],
    ["an end before the beginning", one(tensor("F32", [1], [4, 0])), 4, undefined, /4 to 0 of 4/],
    ["offsets that are not the shape's", one(tensor("F16", [1], [0, 4])), 4, undefined, /but has 2/],
    [
      "tensors that overlap",
      { a: tensor("F32", [2], [0, 8]), b: tensor("F32", [1], [4, 8]) },
      8,
      undefined,
      /"b" overlaps tensor "a"/,
    ],
  ])("refuses %s", async (_, header, size, length, message) => {
    await expect(openSafetensors(await put(header, size, length))).rejects.toMatchObject({
      name: "EspalierError",
      code: "damaged-file",
      message: expect.stringMatching(message),
    });
  });

  it("names a type that it does not know, and takes no name for one of its own", async () => {
    for (const dtype of ["F8_E4M3", "constructor", 7]) {
      const path = await put(one(tensor(dtype, [4], [0, 4])), 4);
      await expect(openSafetensors(path)).rejects.toMatchObject({
        code: "unsupported-weight-type",
        message: expect.stringContaining(String(dtype)),
      });
    }
  });

  it("refuses what is too short, and what is not there", async () => {
    const path = join(folder, "short.safetensors");
    await writeFile(path, "abc");
    await expect(openSafetensors(path)).rejects.toMatchObject({ code: "damaged-file" });
    await expect(openSafetensors(join(folder, "none"))).rejects.toMatchObject({ code: "file-not-found" });
  });
});
