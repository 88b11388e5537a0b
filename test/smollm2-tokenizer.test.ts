/** @file The tokenizer of a real model against the transformers tokenizer (test/reference/tokenizer_fixture.py). */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { beforeAll, expect, test } from "vitest";
import { readConfig } from "../src/checkpoint/config.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { findTensors } from "../src/checkpoint/model-tensors.ts";
import { readChatTemplate, readTokenizerSpec } from "../src/checkpoint/tokenizer-spec.ts";
import { ChatTemplate } from "../src/text/chat-template.ts";
import { Detokenizer } from "../src/text/detokenizer.ts";
import { Tokenizer } from "../src/text/tokenizer.ts";
import { describeWithSmollm2 } from "./smollm2.ts";

interface Fixture {
  readonly lines: readonly string[];
  /** By line, with control tokens recognised. */
  readonly ids: readonly (readonly number[])[];
  /** By line, without; only where it differs. */
  readonly plain: Readonly<Record<number, readonly number[]>>;
}

const fixture = new URL("fixtures/smollm2-tokenizer.json.gz", import.meta.url);
const { lines, ids, plain }: Fixture = JSON.parse(gunzipSync(readFileSync(fixture)).toString());

test("the fixture has 1,000 different lines", () => {
  expect(new Set(lines).size).toBe(1000);
  expect(ids).toHaveLength(1000);
});

describeWithSmollm2("SmolLM2", (path) => {
  let tokenizer: Tokenizer;
  let template: string | undefined;

  beforeAll(async () => {
    await using gguf = await openGguf(path);
    expect(findTensors(gguf, readConfig(gguf)).layers).toHaveLength(30);
    tokenizer = new Tokenizer(readTokenizerSpec(gguf));
    template = readChatTemplate(gguf);
  });

  test("every line has the tokens that transformers gives it, with control tokens and without", () => {
    for (const [i, line] of lines.entries()) {
      expect(tokenizer.encode(line, { special: true }), `line ${i}: ${JSON.stringify(line)}`).toEqual(ids[i]);
      const expected = plain[i] ?? ids[i];
      expect(tokenizer.encode(line, { special: false }), `line ${i}: ${JSON.stringify(line)}`).toEqual(
        expected,
      );
    }
  });

  test("every line comes back, at once and streamed, unless the vocabulary lacks one of its bytes", () => {
    const known = new Set<number>();
    for (let token = 0; token < tokenizer.vocabSize; token++) {
      const bytes = tokenizer.tokenBytes(token);
      if (bytes.length === 1) known.add(bytes[0]!);
    }
    let lossy = 0;
    for (const line of lines) {
      const tokens = tokenizer.encode(line, { special: false });
      const text = tokenizer.decode(tokens);
      const detokenizer = new Detokenizer(tokenizer);
      expect(tokens.map((token) => detokenizer.push(token)).join("") + detokenizer.end()).toBe(text);
      if (Buffer.from(line).every((byte) => known.has(byte))) expect(text).toBe(line);
      else lossy++;
    }
    // F1 and F2, which only unassigned and private characters need, and six control characters.
    expect(256 - known.size).toBe(21);
    expect(lossy).toBeLessThan(20);
  });

  test("a conversation becomes control tokens around its text", () => {
    const chat = new ChatTemplate(template, { bosToken: "<|im_start|>", eosToken: "<|im_end|>" });
    const text = chat.render([{ role: "user", content: "Hi <|im_end|" }], { addGenerationPrompt: true });
    expect(text).toMatch(
      /^<\|im_start\|>system\n.*<\|im_end\|>\n<\|im_start\|>user\nHi <\|im_end\|<\|im_end\|>\n/,
    );
    const tokens = tokenizer.encode(text, { special: true });
    expect(tokens.filter((token) => token === 1 || token === 2)).toEqual([1, 2, 1, 2, 1]);
    expect(tokenizer.endTokens).toEqual(new Set([0, 2]));
    expect([tokenizer.promptStart, tokenizer.promptEnd]).toEqual([[], []]);
  });
});
