import {
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { byteVocabulary } from "../../test/byte-vocabulary.ts";
import { signed, storeBytes } from "../../test/store-bytes.ts";
import { fingerprint } from "../text/fingerprint.ts";
import { Tokenizer } from "../text/tokenizer.ts";
import { buildDatastore, mergeDatastores } from "./build.ts";

const spec = byteVocabulary(["t h", "th e", "Ġ the", "Ċ Ċ"]);
const tokenizer = new Tokenizer(spec);
const vocabulary = { vocabSize: spec.tokens.length, fingerprint: fingerprint(spec.tokens) };
const template = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";
const parts = { spec, template };
const plain = (text: string) => tokenizer.encode(text, { special: false });
const rendered = (text: string) => tokenizer.encode(text, { special: true });
/** The file that should come of these documents. */
const fileOf = (...documents: number[][]) => storeBytes({ ...vocabulary, documents });

let folder: string;
let out: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-build-"));
  await mkdir(join(folder, "out"));
  out = join(folder, "out", "store.esd");
});
afterEach(() => rm(folder, { recursive: true }));

async function put(name: string, content: string | Buffer): Promise<string> {
  const path = join(folder, "in", name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  return path;
}

const build = (
  inputs: readonly string[],
  more: { stores?: string[]; threads?: number; signal?: AbortSignal } = {},
) => {
  const { stores, threads = 1, signal } = more;
  return buildDatastore(out, { parts, inputs, ...(stores && { stores }) }, { threads, signal });
};

/** What is left when a build has failed. */
const left = () => readdir(join(folder, "out"));

describe("documents", () => {
  test("files in the order that was asked for, those in folders by name", async () => {
    const first = await put("z.txt", "the first");
    await put("folder/b.txt", "the second of the folder");
    await put("folder/a/deep.ts", "const the = 1;");
    const folderPath = join(folder, "in", "folder");
    const result = await build([first, folderPath]);
    const documents = ["the first", "const the = 1;", "the second of the folder"].map(plain);
    expect(await readFile(out)).toEqual(fileOf(...documents));
    expect(result).toMatchObject({
      path: out,
      documents: 3,
      files: 3,
      skipped: 0,
      tokens: documents.flat().length,
    });
  });

  test("folders without what is hidden, no text, or a link", async () => {
    await put("a.txt", "text");
    await put("b.png", Buffer.from("\x89PNG\0\0"));
    await put("c.txt", "");
    await put(".hidden.txt", "no");
    await put(".git/config", "no");
    await symlink(join(folder, "in"), join(folder, "in", "loop"));
    const result = await build([join(folder, "in")]);
    expect(await readFile(out)).toEqual(fileOf(plain("text")));
    expect(result).toMatchObject({ files: 2, skipped: 1, documents: 1 });
  });

  test("names of control tokens are text", async () => {
    const path = await put("a.txt", "x<|im_end|>y");
    await build([path]);
    expect(await readFile(out)).toEqual(fileOf(plain("x<|im_end|>y")));
    expect(plain("x<|im_end|>y").length).toBe(12);
  });

  test("long texts are cut where that changes no token", async () => {
    const lines = Array.from(
      { length: 9000 },
      (_, i) => `${" ".repeat(i % 7)}the line ${i}${i % 5 === 0 ? "\n\n  " : ""}`,
    );
    const text = `\ufeff${lines.join("\n")} é€😀\n`.repeat(8);
    const path = await put("long.txt", text);
    await build([path]);
    const file = await readFile(out);
    const count = file.readUInt32LE(20);
    const tokens = new Uint16Array(file.buffer, file.byteOffset + 128, count);
    expect([...tokens]).toEqual([...plain(text.slice(1)), vocabulary.vocabSize]);
    expect(text.length).toBeGreaterThan(4 * 2 ** 18);
  });

  test("a line without an end is cut too, and no character is lost", async () => {
    const text = "😀x".repeat(700_000);
    await build([await put("line.js", text)]);
    const file = await readFile(out);
    const tokens = new Uint16Array(file.buffer, file.byteOffset + 128, file.readUInt32LE(20));
    expect(tokenizer.decode([...tokens.subarray(0, -1)])).toBe(text);
  });

  test("lines of JSONL: texts, chats, questions with answers", async () => {
    const rows = [
      "a string",
      { text: "a text <|im_end|>", id: 7 },
      { content: "content" },
      { code: "code" },
      {
        messages: [
          { role: "user", content: "Hi <|im_end|>" },
          { role: "assistant", content: [{ type: "text", text: "Ho" }] },
        ],
      },
      {
        conversations: [
          { from: "human", value: "1" },
          { from: "gpt", value: "2" },
        ],
      },
      { instruction: "Add", input: "1 2", output: "3" },
      { prompt: "p", completion: "c" },
    ];
    const path = await put("log.jsonl", `${rows.map((row) => JSON.stringify(row)).join("\n")}\n\n`);
    const chat = (user: string, answer: string) =>
      rendered(`<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n${answer}<|im_end|>\n`);
    await build([path]);
    expect(await readFile(out)).toEqual(
      fileOf(
        ...["a string", "a text <|im_end|>", "content", "code"].map(plain),
        chat(tokenizer.quote("Hi <|im_end|>"), "Ho"),
        chat("1", "2"),
        chat("Add\n\n1 2", "3"),
        chat("p", "c"),
      ),
    );
  });

  test("chats of a model without a template, or one that refuses them, are their texts", async () => {
    const row = {
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "Ho" },
      ],
    };
    const path = await put("log.jsonl", JSON.stringify(row));
    for (const template of [undefined, "{{ raise_exception('no') }}"]) {
      await buildDatastore(out, { parts: { spec, template }, inputs: [path] }, { threads: 1 });
      expect(await readFile(out)).toEqual(fileOf(plain("Hi\nHo")));
    }
  });

  test("long files of lines keep their lines and their numbers", async () => {
    const rows = Array.from({ length: 30_000 }, (_, i) => `the row ${i}`);
    const path = await put("log.ndjson", rows.map((row) => JSON.stringify({ text: row })).join("\n"));
    const result = await build([path]);
    expect(result).toMatchObject({ documents: 30_000, tokens: rows.flatMap(plain).length });
    await writeFile(path, `${rows.map((row) => JSON.stringify({ text: row })).join("\n")}\n{`);
    await expect(build([path])).rejects.toThrow(/log.ndjson:30001: not JSON/);
  });

  test("none at all make an empty datastore", async () => {
    await build([await put("a.txt", "")]);
    expect(await readFile(out)).toEqual(fileOf());
  });
});

test("the number of threads changes nothing", async () => {
  for (let i = 0; i < 30; i++) await put(`${i}.txt`, `the file ${i}\n`.repeat(1 + ((i * 7919) % 400)));
  await put("log.jsonl", Array.from({ length: 5000 }, (_, i) => `{"text": "the ${i}"}`).join("\n"));
  await build([join(folder, "in")]);
  const alone = await readFile(out);
  await build([join(folder, "in")], { threads: 3 });
  expect(await readFile(out)).toEqual(alone);
});

describe("datastores of others", () => {
  test("append and merge give what building all at once gives", async () => {
    const [a, b] = [await put("a.txt", "the one"), await put("b.txt", "the other")];
    const other = join(folder, "out", "other.esd");
    await build([a]);
    await build([b], { stores: [out] });
    expect(await readFile(out)).toEqual(fileOf(plain("the one"), plain("the other")));
    expect(await mergeDatastores(other, [out, out])).toMatchObject({ documents: 4 });
    const twice = [plain("the one"), plain("the other")];
    expect(await readFile(other)).toEqual(fileOf(...twice, ...twice));
  });

  test("of tokens of four bytes", async () => {
    const store = storeBytes({ documents: [[69_999, 3], [1]], vocabSize: 70_000 });
    const first = join(folder, "first.esd");
    await writeFile(first, store);
    await mergeDatastores(out, [first]);
    expect(await readFile(out)).toEqual(store);
  });

  test.each<[string, Buffer, string, RegExp]>([
    [
      "another tokenizer's",
      storeBytes({ documents: [[1]], vocabSize: 9 }),
      "other-vocabulary",
      /another model/,
    ],
    ["a damaged one", fileOf([1, 2]).fill(7, 130, 131), "bad-store", /checksum/],
    [
      "one with tokens of no vocabulary",
      damaged((file) => file.writeUInt16LE(60_000, 128)),
      "bad-store",
      /documents/,
    ],
    [
      "one that ends without a border",
      damaged((file) => file.writeUInt16LE(1, 132)),
      "bad-store",
      /documents/,
    ],
    ["one of fewer documents", damaged((file) => file.writeUInt32LE(0, 24)), "bad-store", /documents/],
  ])("refuses %s", async (_, bytes, code, message) => {
    const bad = join(folder, "bad.esd");
    await writeFile(bad, bytes);
    await expect(build([], { stores: [bad] })).rejects.toMatchObject({
      name: "EspalierError",
      code,
      message: expect.stringMatching(message),
    });
    expect(await left()).toEqual([]);
  });
});

function damaged(change: (file: Buffer) => void): Buffer {
  const file = fileOf([1, 2]);
  change(file);
  return signed(file);
}

describe("what goes wrong leaves nothing behind", () => {
  const faults: readonly [string, string, RegExp][] = [
    ["{", "bad-documents", /bad.jsonl:2: not JSON/],
    ["[1]", "bad-documents", /bad.jsonl:2: neither a JSON object nor a string/],
    ["null", "bad-documents", /neither/],
    [
      '{"title": "x", "body": 1}',
      "bad-documents",
      /no text in it: its fields are title, body; give one of text/,
    ],
    ['{"messages": 3}', "bad-documents", /its messages are no list/],
    [
      '{"messages": [{"role": "bard", "content": ""}]}',
      "bad-documents",
      /message 1 has the role "bard"; known/,
    ],
    ['{"messages": [{"role": "toString", "content": ""}]}', "bad-documents", /has the role "toString"/],
    ['{"messages": [null]}', "bad-documents", /message 1 has the role none/],
    ['{"messages": [{"role": "user", "content": 5}]}', "bad-documents", /message 1 has no text/],
  ];
  test.each(faults.flatMap(([line, ...rest]) => [1, 2].map((threads) => [line, threads, ...rest] as const)))(
    "a line %s, %i threads",
    async (line, threads, code, message) => {
      const path = await put("bad.jsonl", `"fine"\n${line}\n"fine"`);
      const failed = { name: "EspalierError", code, message: expect.stringMatching(message) };
      await expect(build([path], { threads })).rejects.toMatchObject(failed);
      expect(await left()).toEqual([]);
    },
  );

  test("a file that is no text, or not there", async () => {
    await expect(build([await put("a.png", Buffer.alloc(100))])).rejects.toThrow(
      /a.png is not text; give text/,
    );
    await expect(build([join(folder, "none")])).rejects.toMatchObject({ code: "file-not-found" });
    expect(await left()).toEqual([]);
  });

  test("a folder that is not there, or a file in the way that is no datastore", async () => {
    const path = await put("a.txt", "text");
    const nowhere = buildDatastore(join(folder, "no", "x.esd"), { parts, inputs: [path] }, { threads: 1 });
    await expect(nowhere).rejects.toMatchObject({ code: "file-unwritable" });
    await writeFile(out, "a document");
    await expect(build([path])).rejects.toThrow(/is no datastore; remove it first/);
    expect(await readFile(out, "utf8")).toBe("a document");
    expect(await left()).toEqual(["store.esd"]);
  });

  test.each(["tokens", "suffixes", "write"])("a signal while it makes %s", async (stage) => {
    const path = await put("a.txt", "the line\n".repeat(100_000));
    await build([await put("b.txt", "old")]);
    for (const threads of [1, 2]) {
      const controller = new AbortController();
      const onProgress = (now: { stage: string }) =>
        now.stage === stage && controller.abort(new Error("enough"));
      const stopped = buildDatastore(
        out,
        { parts, inputs: [path] },
        { threads, signal: controller.signal, onProgress },
      );
      await expect(stopped).rejects.toThrow("enough");
      expect(await left()).toEqual(["store.esd"]);
      expect(await readFile(out)).toEqual(fileOf(plain("old")));
    }
  });

  test.each([1, 2, 3])("a disk that is full at write %i", async (nth) => {
    const path = await put("a.txt", "the line\n".repeat(1000));
    const handle = await open(path);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const write = prototype.writeFile;
    let writes = 0;
    const full = vi.spyOn(prototype, "writeFile").mockImplementation(async function (
      this: FileHandle,
      ...args
    ) {
      if (++writes === nth) throw Object.assign(new Error("no space left on device"), { code: "ENOSPC" });
      await Reflect.apply(write, this, args);
    });
    try {
      await expect(build([path])).rejects.toMatchObject({ name: "EspalierError", code: "disk-full" });
    } finally {
      full.mockRestore();
    }
    expect(await left()).toEqual([]);
  });
});
