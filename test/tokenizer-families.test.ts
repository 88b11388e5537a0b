/** @file Every kind of tokenizer against transformers: small vocabularies of our own, and published ones where they are at hand. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { ChatTemplate } from "../src/text/chat-template.ts";
import { Detokenizer } from "../src/text/detokenizer.ts";
import { Tokenizer } from "../src/text/tokenizer.ts";
import { type TokenizerSpec, tokenType } from "../src/text/vocabulary.ts";
import {
  lines,
  publishedVocabulary,
  ReferenceIds,
  smallVocabulary,
  vocabularyIn,
} from "./tokenizer-vocabularies.ts";

/** The lines whose tokens are not those of the reference. */
function differences(spec: TokenizerSpec, name: string): string[] {
  const ids = new ReferenceIds(name);
  expect(ids.lines).toBe(lines.length);
  const tokenizer = new Tokenizer(spec);
  return lines.flatMap((line, i) =>
    [true, false]
      .filter((special) => !ids.agree(i, special, tokenizer.encode(line, { special })))
      .map((special) => `line ${i}, special ${special}: ${JSON.stringify(line.slice(0, 80))}`),
  );
}

/** What a text becomes on the way there and back. */
function roundTrip(tokenizer: Tokenizer, text: string): string {
  return tokenizer.decode(tokenizer.encode(text, { special: false }));
}

test("the lines are at least 1,000, and different", () => {
  expect(new Set(lines).size).toBe(lines.length);
  expect(lines.length).toBeGreaterThanOrEqual(1000);
});

describe.each(["llama", "phi3", "gemma"])("SentencePiece as in %s", (name) => {
  let spec: TokenizerSpec;
  let tokenizer: Tokenizer;

  beforeAll(async () => {
    spec = await smallVocabulary(name);
    tokenizer = new Tokenizer(spec);
  });

  test("every line has the tokens that transformers gives it", () => {
    expect(differences(spec, name)).toEqual([]);
  });

  test("every line comes back, at once and streamed, with U+2581 as a space", () => {
    for (const line of lines) {
      // Behind a user-defined token these families put another space of their own, which stays in the text.
      if (tokenizer.startsWithSpace && line.includes("<think>")) continue;
      expect(roundTrip(tokenizer, line)).toBe(line.replaceAll("\u2581", " "));
      const detokenizer = new Detokenizer(tokenizer);
      const tokens = tokenizer.encode(line, { special: false });
      const streamed = tokens.map((token) => detokenizer.push(token)).join("") + detokenizer.end();
      expect(streamed).toBe(tokenizer.decode(tokens));
    }
  });

  test("any text is spelled in the bytes of its tokens", () => {
    const prefix = tokenizer.startsWithSpace ? " " : "";
    const { types } = spec;
    fc.assert(
      fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
        const tokens = tokenizer.encode(text, { special: false });
        fc.pre(!tokens.some((token) => types[token] === tokenType.userDefined && token > 900));
        const bytes = Buffer.concat(tokens.map((token) => tokenizer.tokenBytes(token)));
        expect(bytes.toString()).toBe(prefix + text.replaceAll("\u2581", " "));
      }),
    );
  });

  test("byte tokens make up characters, which are shown when they are complete", () => {
    const tokens = tokenizer.encode("🦤!", { special: false });
    const bytes = tokens.filter((token) => spec.types[token] === tokenType.byte);
    expect(bytes.map((token) => tokenizer.tokenName(token))).toEqual([
      "<0xF0>",
      "<0x9F>",
      "<0xA6>",
      "<0xA4>",
    ]);
    const detokenizer = new Detokenizer(tokenizer);
    const shown = tokens.map((token) => detokenizer.push(token)).filter((text) => text !== "");
    expect([...shown, detokenizer.end()]).toEqual(["🦤", "!", ""]);
  });

  test("a long text without a space takes no more than its share", () => {
    const long = "ab木".repeat(40_000);
    expect(roundTrip(tokenizer, long)).toBe(long);
  });
});

describe("the space that SentencePiece puts before a text", () => {
  test("is dropped at the start, and belongs to a text that goes on", async () => {
    const tokenizer = new Tokenizer(await smallVocabulary("llama"));
    const tokens = tokenizer.encode("the tree", { special: false });
    expect(tokens.map((token) => tokenizer.tokenName(token)).join("")).toBe("▁the▁tree");
    expect(tokenizer.decode(tokens)).toBe("the tree");
    const goesOn = new Detokenizer(tokenizer, { continues: true });
    expect(tokens.map((token) => goesOn.push(token)).join("")).toBe(" the tree");
  });

  test("comes after every added token, and not in Gemma's vocabulary", async () => {
    const names = async (vocabulary: string, text: string) => {
      const tokenizer = new Tokenizer(await smallVocabulary(vocabulary));
      return tokenizer.encode(text, { special: true }).map((token) => tokenizer.tokenName(token));
    };
    expect((await names("llama", "<s>\n</s>\n")).join(" ")).toBe("<s> ▁ <0x0A> </s> ▁ <0x0A>");
    expect((await names("gemma", "<bos>\n<end_of_turn>\n")).join(" ")).toBe("<bos> \n <end_of_turn> \n");
  });

  test("Phi-3: white space behind a control token is dropped, but not behind the one that begins a text", async () => {
    const tokenizer = new Tokenizer(await smallVocabulary("phi3"));
    const encode = (text: string) => tokenizer.encode(text, { special: true });
    expect(encode("<|user|> \n\u2003x<|end|>\n<|assistant|>\n")).toEqual(
      encode("<|user|>x<|end|><|assistant|>"),
    );
    expect(encode("<s>\nx")).not.toEqual(encode("<s>x"));
  });
});

describe("control tokens in texts", () => {
  test.each([
    ["llama", "</s><s>[INST]"],
    ["phi3", "a<|end|><|user|>"],
    ["gemma", "<<end_of_turn>\n<start_of_turn>user"],
    ["byte-level", "<|im_end|><|im_<|im_start|>"],
  ])("%s: what is quoted stays text, whatever it is put into", async (name, text) => {
    const spec = await smallVocabulary(name);
    const tokenizer = new Tokenizer(spec);
    const control = (tokens: readonly number[]) =>
      tokens.filter((token) => spec.types[token] === tokenType.control);
    expect(control(tokenizer.encode(text, { special: true }))).toHaveLength(2);
    const quoted = tokenizer.quote(text);
    expect(tokenizer.encode(quoted, { special: true })).toEqual(tokenizer.encode(text, { special: false }));
    const end = tokenizer.tokenName(spec.eosToken!);
    expect(control(tokenizer.encode(`${end}${quoted}${end}`, { special: true }))).toHaveLength(2);
  });

  test("quoting changes no other text", async () => {
    const tokenizer = new Tokenizer(await smallVocabulary("byte-level"));
    for (const line of lines) if (!/<\|/.test(line)) expect(tokenizer.quote(line)).toBe(line);
  });
});

describe("a conversation", () => {
  const templates: Record<string, { template: string }> = JSON.parse(
    readFileSync(new URL("fixtures/chat-templates.json", import.meta.url), "utf8"),
  );

  test.each([
    ["llama", "llama-2", 1],
    ["llama", "mistral", 1],
    ["gemma", "gemma", 2],
  ])("of %s by the template of %s begins with one token that begins texts", async (name, family, bos) => {
    const spec = await smallVocabulary(name);
    const tokenizer = new Tokenizer(spec);
    expect(tokenizer.promptStart).toEqual([bos]);
    const bosToken = tokenizer.tokenName(bos);
    const template = new ChatTemplate(templates[family]!.template, { bosToken, eosToken: "</s>" });
    const content = tokenizer.quote(`${bosToken} Hi`);
    const text = template.render([{ role: "user", content }], { addGenerationPrompt: true });
    const tokens = tokenizer.encode(text, { special: true });
    expect(tokens.indexOf(bos)).toBe(0);
    expect(tokens.lastIndexOf(bos)).toBe(0);
  });
});

describe.each([
  "default",
  "gpt-2",
  "smollm",
  "starcoder",
  "command-r",
  "llama-bpe",
  "smaug-bpe",
  "qwen2",
  "qwen35",
  "gpt-4o",
  "tekken",
  "deepseek-v3",
])("byte-level, cut as %s", (pre) => {
  test("every line has the tokens that transformers gives it, and comes back", async () => {
    const spec = { ...(await smallVocabulary("byte-level")), pre };
    expect(differences(spec, `byte-level.${pre}`)).toEqual([]);
    const tokenizer = new Tokenizer(spec);
    const normal = ["qwen2", "qwen35", "command-r"].includes(pre);
    for (const line of lines) expect(roundTrip(tokenizer, line)).toBe(normal ? line.normalize("NFC") : line);
  });
});

describe.each(["llama2", "mistral-v1", "gemma3", "llama3", "qwen3", "deepseek-v3", "tekken"])(
  "published: %s",
  (name) => {
    const path = publishedVocabulary(name);

    test.skipIf(path === undefined)(
      `every line has the tokens that transformers gives it${path ? "" : " (skipped: the vocabulary is not on this machine)"}`,
      async () => {
        expect(differences(await vocabularyIn(path!), `real.${name}`)).toEqual([]);
      },
    );
  },
);
