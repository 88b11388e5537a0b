import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type GgufValue, writeGguf } from "../../test/gguf-writer.ts";
import { openGguf } from "./gguf.ts";
import { readChatTemplate, readTokenizerSpec } from "./tokenizer-spec.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-spec-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

const text = (value: string): GgufValue => ({ type: "string", value });
const strings = (...value: string[]): GgufValue => ({ type: "array", of: "string", value });
const u32 = (value: number): GgufValue => ({ type: "u32", value });
const bool = (value: boolean): GgufValue => ({ type: "bool", value });

const valid: Record<string, GgufValue | undefined> = {
  "tokenizer.ggml.model": text("gpt2"),
  "tokenizer.ggml.pre": text("smollm"),
  "tokenizer.ggml.tokens": strings("a", "b", "ab", "<|im_end|>"),
  "tokenizer.ggml.token_type": { type: "array", of: "i32", value: [1, 1, 1, 3] },
  "tokenizer.ggml.merges": strings("a b"),
  "tokenizer.ggml.eos_token_id": u32(3),
};

async function read(changes: Record<string, GgufValue | undefined>) {
  const path = join(folder, "model.gguf");
  const metadata = Object.entries({ ...valid, ...changes }).flatMap(([key, value]) =>
    value === undefined
      ? []
      : [[key.startsWith("tokenizer.") ? key : `tokenizer.ggml.${key}`, value] as const],
  );
  await writeFile(path, writeGguf({ metadata, tensors: [] }));
  await using gguf = await openGguf(path);
  return { spec: readTokenizerSpec(gguf), template: readChatTemplate(gguf) };
}

test("reads what the file says, with defaults for the rest", async () => {
  const { spec, template } = await read({});
  expect(spec).toEqual({
    model: "gpt2",
    pre: "smollm",
    tokens: ["a", "b", "ab", "<|im_end|>"],
    types: [1, 1, 1, 3],
    merges: ["a b"],
    scores: [],
    eosToken: 3,
    addBos: false,
    addEos: false,
    addSpacePrefix: false,
    trimAfterControl: false,
  });
  expect(template).toBeUndefined();

  const other = await read({
    bos_token_id: u32(0),
    eot_token_id: u32(1),
    add_bos_token: bool(true),
    add_eos_token: bool(true),
    add_space_prefix: bool(true),
    "tokenizer.ggml.pre": undefined,
    "tokenizer.ggml.token_type": undefined,
    "tokenizer.chat_template": text("{{ messages }}"),
  });
  expect(other.spec).toMatchObject({ pre: "default", types: [1, 1, 1, 1], bosToken: 0, eotToken: 1 });
  expect(other.spec).toMatchObject({ addBos: true, addEos: true, addSpacePrefix: true });
  expect(other.template).toBe("{{ messages }}");
});

test("whether prompts begin with a token of their own depends on the family when the file is silent", async () => {
  expect((await read({ "tokenizer.ggml.pre": text("llama-bpe") })).spec.addBos).toBe(true);
  const told = await read({ "tokenizer.ggml.pre": text("llama-bpe"), add_bos_token: bool(false) });
  expect(told.spec.addBos).toBe(false);
});

const sentencePiece = {
  "tokenizer.ggml.model": text("llama"),
  "tokenizer.ggml.pre": undefined,
  "tokenizer.ggml.merges": undefined,
  "tokenizer.ggml.scores": { type: "array", of: "f32", value: [0, -1, -2.5, 0] },
} as const;

test("SentencePiece has scores instead of merges, and begins prompts with a token and a space of their own", async () => {
  const { spec } = await read({ ...sentencePiece, unknown_token_id: u32(0) });
  expect(spec).toMatchObject({ model: "llama", merges: [], scores: [0, -1, -2.5, 0], unknownToken: 0 });
  expect(spec).toMatchObject({ addBos: true, addEos: false, addSpacePrefix: true, trimAfterControl: false });
  const gemma = await read({ ...sentencePiece, add_space_prefix: bool(false), add_bos_token: bool(false) });
  expect(gemma.spec).toMatchObject({ addBos: false, addSpacePrefix: false });
});

const scores = (...value: number[]): GgufValue => ({ type: "array", of: "f32", value });

const refused: [name: string, changes: Record<string, GgufValue | undefined>, code: string, says: RegExp][] =
  [
    ["no tokenizer", { "tokenizer.ggml.model": undefined }, "missing-tokenizer", /no tokenizer/],
    ["no tokens", { "tokenizer.ggml.tokens": undefined }, "missing-tokenizer", /no tokenizer/],
    ["an empty vocabulary", { "tokenizer.ggml.tokens": strings() }, "missing-tokenizer", /no tokenizer/],
    [
      "another model",
      { "tokenizer.ggml.model": text("bert") },
      "unsupported-tokenizer",
      /"bert".*supported: "gpt2".*"llama"/,
    ],
    [
      "another pre-tokenizer",
      { "tokenizer.ggml.pre": text("viking") },
      "unsupported-tokenizer",
      /"viking".*smollm/,
    ],
    ["no merges", { "tokenizer.ggml.merges": undefined }, "bad-model", /merges" is missing/],
    [
      "no scores",
      { ...sentencePiece, "tokenizer.ggml.scores": undefined },
      "bad-model",
      /scores" is missing/,
    ],
    [
      "scores of other tokens",
      { ...sentencePiece, "tokenizer.ggml.scores": scores(1, 2) },
      "bad-model",
      /4 tokens, but the scores of 2/,
    ],
    [
      "a score that is no number",
      { ...sentencePiece, "tokenizer.ggml.scores": scores(0, 1, Number.NaN, 2) },
      "bad-model",
      /token 2 has the score NaN/,
    ],
    [
      "scores that are integers",
      { ...sentencePiece, "tokenizer.ggml.scores": { type: "array", of: "i32", value: [1, 2, 3, 4] } },
      "bad-model",
      /must be an array of floating-point numbers/,
    ],
    [
      "a beginning outside",
      { "tokenizer.ggml.bos_token_id": u32(4_000_000_000) },
      "bad-model",
      /bos_token_id" is 4000000000.*from 0 to 3/,
    ],
    [
      "tokens that are numbers",
      { "tokenizer.ggml.tokens": u32(4) },
      "bad-model",
      /4 \(u32\); it must be an array of strings/,
    ],
    [
      "types for other tokens",
      { "tokenizer.ggml.token_type": { type: "array", of: "i32", value: [1] } },
      "bad-model",
      /4 tokens, but the types of 1/,
    ],
    [
      "a type nobody knows",
      { "tokenizer.ggml.token_type": { type: "array", of: "i32", value: [1, 7, 1, 1] } },
      "bad-model",
      /token 1 is of type 7/,
    ],
    [
      "an end token outside",
      { "tokenizer.ggml.eos_token_id": u32(4) },
      "bad-model",
      /eos_token_id" is 4.*from 0 to 3/,
    ],
  ];

test.each(refused)("refuses %s", async (_, changes, code, says) => {
  const failed = read(changes);
  await expect(failed).rejects.toThrow(says);
  await expect(failed).rejects.toMatchObject({ code });
});
