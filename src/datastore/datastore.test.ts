import { mkdtemp, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { joinDocuments, type StoreContents, signed, storeBytes } from "../../test/store-bytes.ts";
import type { Continuations, RetrievalLimits } from "../draft/continuations.ts";
import { openDatastore } from "./datastore.ts";

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-store-"));
  path = join(folder, "store.esd");
});
afterEach(() => rm(folder, { recursive: true }));

/** As the paper's method has it: every place is looked at, every prefix counted. */
function expected(contents: StoreContents, context: readonly number[], limits: Required<RetrievalLimits>) {
  const { vocabSize } = contents;
  const text = joinDocuments(contents);
  const known = context.length - 1 - context.findLastIndex((token) => token < 0 || token >= vocabSize);
  for (let length = Math.min(known, limits.longest); length >= limits.shortest; length--) {
    const suffix = context.slice(context.length - length);
    const ends = Array.from(text.keys(), (at) => at + length).filter((end) =>
      suffix.every((token, i) => text[end - length + i] === token),
    );
    const paths = new Map<string, { path: number[]; count: number }>();
    for (const end of ends) {
      for (
        let depth = 1;
        depth <= limits.depth && (text[end + depth - 1] ?? vocabSize) < vocabSize;
        depth++
      ) {
        const path = text.slice(end, end + depth);
        const entry = paths.get(path.join()) ?? { path, count: 0 };
        paths.set(path.join(), { path, count: entry.count + 1 });
      }
    }
    if (paths.size === 0) continue;
    const byPath = [...paths.values()].sort((a, b) => compare(a.path, b.path));
    const nodes = byPath.sort((a, b) => b.count - a.count || a.path.length - b.path.length);
    return { matched: length, hits: ends.length, nodes: nodes.slice(0, limits.nodes) };
  }
  return { matched: 0, hits: 0, nodes: [] };
}

function compare(one: readonly number[], other: readonly number[]): number {
  const at = one.findIndex((token, i) => token !== other[i]);
  return at < 0 || at >= other.length ? one.length - other.length : one[at]! - other[at]!;
}

/** With the path to each node. */
function spelled({ matched, hits, tokens, parents, counts }: Continuations) {
  const paths: number[][] = [];
  for (const [i, parent] of parents.entries()) {
    expect(parent).toBeLessThan(i);
    paths.push([...(parent < 0 ? [] : paths[parent]!), tokens[i]!]);
  }
  return { matched, hits, nodes: paths.map((path, i) => ({ path, count: counts[i]! })) };
}

const usual = { longest: 16, shortest: 2, places: 5000, depth: 10, nodes: 64 };

describe("match", () => {
  test.each([5, 70_000])("is what looking at every place gives, vocabulary of %i", async (vocabSize) => {
    const token = fc.nat({ max: 3 }).map((token) => (vocabSize - 5 + token) % vocabSize);
    const documents = fc.array(fc.array(token, { maxLength: 60 }), { maxLength: 5 });
    const limits = fc.record({
      longest: fc.integer({ min: 3, max: 20 }),
      shortest: fc.integer({ min: 1, max: 3 }),
      places: fc.constant(5000),
      depth: fc.integer({ min: 1, max: 12 }),
      nodes: fc.integer({ min: 1, max: 80 }),
    });
    const context = fc.array(fc.oneof({ weight: 20, arbitrary: token }, fc.constantFrom(-1, vocabSize)), {
      maxLength: 30,
    });
    await fc.assert(
      fc.asyncProperty(documents, context, limits, async (documents, context, limits) => {
        const contents = { documents, vocabSize };
        await writeFile(path, storeBytes(contents));
        await using store = await openDatastore(path);
        const from = documents[0] ?? [];
        for (const query of [context, from.slice(0, 20), [...context, ...from.slice(3, 9)]]) {
          expect(spelled(store.match(query, limits))).toEqual(expected(contents, query, limits));
          expect(spelled(store.match(query))).toEqual(expected(contents, query, usual));
        }
      }),
      { numRuns: 150 },
    );
  });

  test("counts places spread over all when there are too many", async () => {
    // What follows 1 2 is 3 in three of four cases.
    const documents = Array.from({ length: 400 }, (_, i) => [1, 2, i % 4 === 0 ? 0 : 3]);
    await writeFile(path, storeBytes({ documents, vocabSize: 4 }));
    await using store = await openDatastore(path);
    expect(spelled(store.match([1, 2], { places: 40 }))).toEqual({
      matched: 2,
      hits: 40,
      nodes: [
        { path: [3], count: 30 },
        { path: [0], count: 10 },
      ],
    });
  });

  test("goes on with a shorter suffix where the longest stands at the end of a text", async () => {
    await writeFile(
      path,
      storeBytes({
        documents: [
          [5, 1, 2],
          [1, 2, 9],
        ],
        vocabSize: 10,
      }),
    );
    await using store = await openDatastore(path);
    expect(spelled(store.match([5, 1, 2]))).toEqual({
      matched: 2,
      hits: 2,
      nodes: [{ path: [9], count: 1 }],
    });
  });

  test("never crosses from one text into the next", async () => {
    await writeFile(
      path,
      storeBytes({
        documents: [
          [1, 2, 3],
          [4, 5, 6],
        ],
        vocabSize: 10,
      }),
    );
    await using store = await openDatastore(path);
    expect(spelled(store.match([1, 2])).nodes).toEqual([{ path: [3], count: 1 }]);
    expect(store.match([3, 4]).matched).toBe(0);
    expect(store.match([2, 3, 10, 4, 5]).matched).toBe(2);
  });

  test("refuses limits out of range, and a store that was closed", async () => {
    await writeFile(path, storeBytes({ documents: [[1, 2, 3]], vocabSize: 10 }));
    const store = await openDatastore(path);
    expect(() => store.match([1], { longest: 65 })).toThrow(/longest is 65; give an integer from 1 to 64/);
    expect(() => store.match([1], { places: 0.5 })).toThrow(RangeError);
    expect(() => store.match([1], { longest: 2, shortest: 3 })).toThrow(/shortest is 3 and longest 2/);
    store.close();
    store.close();
    expect(() => store.match([1, 2])).toThrow(/was closed/);
  });
});

describe("opening", () => {
  const contents = {
    documents: [
      [1, 2, 3, 1, 2],
      [3, 1],
    ],
    vocabSize: 9,
    fingerprint: "ab".repeat(32),
  };

  test("tells what the file holds", async () => {
    await writeFile(path, storeBytes(contents));
    await using store = await openDatastore(path, contents.fingerprint);
    expect(store).toMatchObject({
      path,
      documents: 2,
      tokens: 7,
      vocabSize: 9,
      fingerprint: "ab".repeat(32),
    });
  });

  test("refuses the tokens of another model", async () => {
    await writeFile(path, storeBytes(contents));
    await expect(openDatastore(path, "cd".repeat(32))).rejects.toMatchObject({
      name: "EspalierError",
      code: "other-vocabulary",
      message: expect.stringMatching(/tokenizer of another model; build one/),
    });
  });

  const file = storeBytes(contents);
  const edited = (change: (file: Buffer) => void) => {
    const copy = Buffer.from(file);
    change(copy);
    return copy;
  };
  /** With a number in its header, and right checksums. */
  const saying = (at: number, value: number) => signed(edited((file) => file.writeUInt32LE(value, at)));
  const flipped = (at: number) => edited((file) => file.writeUInt8(file[at]! ^ 128, at));

  test.each<[string, Buffer, RegExp]>([
    ["empty", Buffer.alloc(0), /starts with other bytes; make one with `espalier datastore build`/],
    ["of another kind", Buffer.from("GGUF".repeat(100)), /starts with other bytes/],
    ["cut off in its header", file.subarray(0, 60), /ends after 60 bytes; build or copy/],
    ["cut off", file.subarray(0, -3), /has 181 bytes and should have 184; build or copy/],
    ["longer", Buffer.concat([file, file]), /has 368 bytes and should have 184/],
    ["older", saying(8, 0), /version 0, this program reads 1; build it again/],
    ["newer", saying(8, 2), /version 2.*use a newer one/],
    ["of a damaged header", flipped(40), /checksum of its header is wrong/],
    ["of damaged tokens", flipped(130), /its checksum is wrong; build or copy/],
    ["of damaged suffixes", flipped(183), /its checksum is wrong/],
    ["of no vocabulary", saying(16, 0), /vocabulary of 0/],
    ["of another width", saying(12, 4), /tokens of 4 bytes/],
    ["of too many tokens", saying(20, 2 ** 32 - 1), /4294967295/],
    ["of too many documents", saying(24, 10), /in 10 documents/],
  ])("refuses a file that is %s", async (_, bytes, message) => {
    await writeFile(path, bytes);
    await expect(openDatastore(path)).rejects.toMatchObject({
      name: "EspalierError",
      code: "bad-store",
      message: expect.stringMatching(message),
    });
  });

  test("refuses what is not there, and a folder", async () => {
    await expect(openDatastore(path)).rejects.toMatchObject({ code: "file-not-found" });
    await expect(openDatastore(folder)).rejects.toMatchObject({ code: "file-unreadable" });
  });
});

describe("a file that is changed while it is open", () => {
  const contents = { documents: [Array.from({ length: 20_000 }, (_, i) => (i * i) % 97)], vocabSize: 97 };
  const changed = expect.objectContaining({ name: "EspalierError", code: "store-changed" });

  test.skipIf(process.platform === "win32")(
    "ends queries with an error, shorter or written over",
    async () => {
      const file = storeBytes({ documents: contents.documents, vocabSize: 97 });
      for (const change of [
        () => truncate(path, 0),
        () => truncate(path, 200),
        () => writeFile(path, file),
      ]) {
        await writeFile(path, file);
        await using store = await openDatastore(path);
        expect(store.match([0, 1]).matched).toBe(2);
        await change();
        expect(() => store.match([0, 1])).toThrow(changed);
      }
    },
  );

  test("stays what it was when another takes its place", async () => {
    await writeFile(path, storeBytes(contents));
    await using store = await openDatastore(path);
    const before = store.match([0, 1]);
    const other = join(folder, "other.esd");
    await writeFile(other, storeBytes({ documents: [[1, 2]], vocabSize: 97 }));
    await rename(other, path);
    expect(store.match([0, 1])).toEqual(before);
  });
});
