import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { lastJson, runCli } from "../../test/run-cli.ts";

const MODEL = "models/espalier-tiny/espalier-tiny-draft.gguf";
let folder: string;
let store: string;
let text: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-datastore-"));
  store = join(folder, "a.esd");
  text = join(folder, "a.txt");
  await writeFile(text, "Once upon a time there was a cat.\nOnce upon a time there was a dog.\n".repeat(3));
});
afterEach(() => rm(folder, { recursive: true }));

const build = (...more: string[]) =>
  runCli(["datastore", "build", store, text, "-m", MODEL, "--threads", "1", ...more]);

test("build tells what it made, info the same", async () => {
  const built = await build("--json");
  expect(built).toMatchObject({ code: 0, stderr: "" });
  const { bytes, tokens } = lastJson(built.stdout) as { bytes: number; tokens: number };
  expect(bytes).toBe((await stat(store)).size);
  expect(lastJson(built.stdout)).toMatchObject({ path: store, documents: 1, files: 1, skipped: 0 });
  const info = await runCli(["datastore", "info", store, "--json"]);
  expect(lastJson(info.stdout)).toEqual({
    path: store,
    documents: 1,
    tokens,
    vocabSize: 4096,
    bytes,
    fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/),
  });
  expect((await runCli(["datastore", "info", store])).stdout).toMatch(
    new RegExp(`documents +1\ntokens +${tokens}\nvocabulary +4096 tokens, sha256 \\w{64}\nfile `),
  );
  expect((await build()).stdout).toMatch(/a\.esd: \d+ tokens in 1 documents, 0\.0 MB, in \d+\.\d s\n$/);
});

test("query shows what followed, as a tree", async () => {
  await build();
  const query = ["datastore", "query", store, "I said:\nOnce upon a time there was a", "-m", MODEL];
  const { stdout, code } = await runCli(query);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^"\\nOnce upon a time there was a": 8 tokens, 5 places, [\d.]+ ms\n/);
  expect(stdout).toMatch(/\n +3 {2}" dog[\s\S]*\n +2 {2}" cat/);
  const found = lastJson((await runCli([...query, "--json"])).stdout);
  expect(found).toMatchObject({
    matchedText: "\nOnce upon a time there was a",
    continuations: [{ count: 3 }, { count: 2 }],
  });
  const nothing = await runCli(["datastore", "query", store, "zebra quagga", "-m", MODEL]);
  expect(nothing).toMatchObject({ code: 0, stdout: "nothing found\n" });
});

test("append and merge", async () => {
  await build();
  const append = await runCli(["datastore", "append", store, text, "-m", MODEL, "--threads", "1", "--json"]);
  expect(lastJson(append.stdout)).toMatchObject({ documents: 2 });
  const all = join(folder, "all.esd");
  const merge = await runCli(["datastore", "merge", all, store, store, "--json"]);
  expect(lastJson(merge.stdout)).toMatchObject({ path: all, documents: 4, files: 0 });
});

test("errors are one line, and leave what was there", async () => {
  const line = join(folder, "bad.jsonl");
  await writeFile(line, "{");
  const bad = await runCli(["datastore", "build", store, line, "-m", MODEL, "--threads", "1"]);
  expect(bad).toMatchObject({ code: 1, stdout: "" });
  expect(bad.stderr).toMatch(/^error: .*bad\.jsonl:1: not JSON \([^\n]+\n$/);
  const kept = await runCli(["datastore", "build", text, text, "-m", MODEL]);
  expect(kept.stderr).toMatch(/a\.txt is there and is no datastore; remove it first/);
  const other = await runCli(["datastore", "info", text]);
  expect(other.stderr).toMatch(/starts with other bytes; make one with `espalier datastore build`\n$/);
  expect((await readdir(folder)).sort()).toEqual(["a.txt", "bad.jsonl"]);
});

test("ctrl-C ends a build and leaves nothing", async () => {
  await writeFile(text, "Once upon a time there was a cat.\n".repeat(100_000));
  const result = await runCli(["datastore", "build", store, text, "-m", MODEL, "--threads", "1"], {
    terminal: true,
    watch: (text, press) => {
      if (text.includes("million tokens")) press();
    },
  });
  expect(result).toMatchObject({ code: 130, stdout: "" });
  expect(await readdir(folder)).toEqual(["a.txt"]);
});
