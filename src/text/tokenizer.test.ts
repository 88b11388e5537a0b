import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { byteVocabulary } from "../../test/byte-vocabulary.ts";
import { Detokenizer } from "./detokenizer.ts";
import { Tokenizer } from "./tokenizer.ts";

const merges = ["Ġ t", "h e", "Ġt he", "Ġ Ġ", "1 2", "ĠĠ ĠĠ", "à ¸", "ð Ł"];
const spec = byteVocabulary(merges);
const tokenizer = new Tokenizer(spec);
const names = (tokens: readonly number[]) => tokens.map((token) => tokenizer.tokenName(token));

/** Text with characters of 1 to 4 bytes, joined emoji, and spellings of control tokens. */
const anyText = fc
  .array(
    fc.oneof(
      fc.string({ unit: "binary" }),
      fc.constantFrom(
        "👩‍🌾",
        "木 ",
        "\u0e01",
        "<|im_end|>",
        "<|im_",
        " the",
        "\r\n",
        "e\u0301",
        "\ufeff",
        "\ufffd",
      ),
    ),
  )
  .map((parts) => parts.join(""));

describe("encode", () => {
  test("applies merges inside words only", () => {
    expect(names(tokenizer.encode("the the", { special: false }))).toEqual(["t", "he", "Ġthe"]);
    expect(names(tokenizer.encode("     the", { special: false }))).toEqual(["ĠĠĠĠ", "Ġthe"]);
    expect(names(tokenizer.encode("12 ٣٤", { special: false })).slice(0, 3)).toEqual(["1", "2", "Ġ"]);
  });

  test("reads control tokens out of the text only when told to", () => {
    const text = "<|im_start|>he<|im_end|>";
    expect(names(tokenizer.encode(text, { special: true }))).toEqual(["<|im_start|>", "he", "<|im_end|>"]);
    const plain = tokenizer.encode(text, { special: false });
    expect(plain).not.toContain(spec.eosToken);
    expect(tokenizer.decode(plain)).toBe(text);
  });

  test("user-defined tokens are always read, the longest first, and have a text", () => {
    const withOwn = new Tokenizer(byteVocabulary(merges, { userDefined: ["木", "木木木", "(a+)"] }));
    for (const special of [true, false]) {
      const tokens = withOwn.encode("木木木木(a+)", { special });
      expect(tokens.map((token) => withOwn.tokenName(token))).toEqual(["木木木", "木", "(a+)"]);
      expect(withOwn.decode(tokens)).toBe("木木木木(a+)");
    }
  });

  test("of nothing is nothing", () => {
    expect(tokenizer.encode("", { special: true })).toEqual([]);
    expect(tokenizer.decode([])).toBe("");
  });

  test("numbers are cut as the pre-tokenizer says", () => {
    const cut = (pre: string) => {
      const other = new Tokenizer(byteVocabulary(["1 1", "11 11"], { pre }));
      return other.encode("11111", { special: false }).map((token) => other.tokenName(token));
    };
    expect(cut("smollm")).toEqual(["1", "1", "1", "1", "1"]);
    expect(cut("qwen2")).toEqual(["1", "1", "1", "1", "1"]);
    expect(cut("gpt-2")).toEqual(["1111", "1"]);
    expect(cut("llama-bpe")).toEqual(["11", "1", "11"]);
  });

  test("qwen2 normalizes, the others do not", () => {
    const encode = (pre: string) =>
      new Tokenizer(byteVocabulary([], { pre })).encode("e\u0301", { special: false });
    expect(encode("qwen2")).toEqual([0xc3, 0xa9]);
    expect(encode("smollm")).toEqual([0x65, 0xcc, 0x81]);
  });
});

test("any text survives the way there and back", () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(tokenizer.decode(tokenizer.encode(text, { special: false }))).toBe(text);
    }),
  );
});

describe("token bytes", () => {
  test("of a byte token are that byte; control tokens have none", () => {
    for (let byte = 0; byte < 256; byte++) expect([...tokenizer.tokenBytes(byte)]).toEqual([byte]);
    expect(tokenizer.tokenBytes(spec.eosToken!)).toHaveLength(0);
  });

  test("of a token that is not in the vocabulary are a RangeError", () => {
    for (const token of [-1, spec.tokens.length, 0.5])
      expect(() => tokenizer.tokenBytes(token)).toThrow(RangeError);
  });
});

describe("end tokens", () => {
  test("are the file's own and the well-known control tokens", () => {
    expect(tokenizer.endTokens).toEqual(new Set([spec.eosToken]));
    const otherEnd = new Tokenizer({ ...spec, eosToken: 5, eotToken: 6 });
    expect(otherEnd.endTokens).toEqual(new Set([5, 6, spec.eosToken]));
  });
});

describe("a vocabulary that contradicts itself is refused", () => {
  const { tokens, types } = spec;
  test.each([
    { why: "a merge of one part", merges: ["Ġ t", "he"], says: /merge 1 of the tokenizer is "he"/ },
    { why: "a merge of three parts", merges: ["Ġ t", "a b c"], says: /merge 1 of the tokenizer is "a b c"/ },
    { why: "a merge of nothing", merges: [""], says: /merge 0 of the tokenizer is ""/ },
    { why: "a merge of no token", merges: ["木 t"], says: /merge 0 of the tokenizer is "木 t"/ },
    { why: "a merge into no token", merges: ["t t"], says: /merge 0 of the tokenizer is "t t"/ },
    {
      why: "the same name twice",
      tokens: [...tokens, tokens[40]!],
      types: [...types, 1],
      says: /tokens \d+ and \d+ of the vocabulary are both/,
    },
  ])("$why", ({ says, why: _, ...change }) => {
    const bad = () => new Tokenizer({ ...spec, ...change });
    expect(bad).toThrow(expect.objectContaining({ code: "bad-model", message: expect.stringMatching(says) }));
  });

  test("but not for tokens without a name, or a very long one", () => {
    const long = "x".repeat(1 << 20);
    const odd = new Tokenizer({
      ...spec,
      tokens: [...tokens, "", "", long, `<${long}>`],
      types: [...types, 1, 3, 1, 3],
    });
    expect(odd.encode("the", { special: true })).toEqual(tokenizer.encode("the", { special: true }));
    expect(odd.encode(`<${long}>`, { special: true })).toEqual([tokens.length + 3]);
  });
});

describe("what is not supported is refused by name", () => {
  test.each([
    { model: "bert", says: /"bert" is not supported; supported: "gpt2".*"llama"/ },
    { pre: "viking", says: /"viking" is not supported; supported: .*smollm/ },
  ])("%j", ({ says, ...change }) => {
    const error = expect.objectContaining({
      code: "unsupported-tokenizer",
      message: expect.stringMatching(says),
    });
    expect(() => new Tokenizer({ ...spec, ...change })).toThrow(error);
  });
});

describe("detokenizer", () => {
  function stream(tokens: readonly number[]): string[] {
    const detokenizer = new Detokenizer(tokenizer);
    return [...tokens.map((token) => detokenizer.push(token)), detokenizer.end()];
  }

  test("holds back a character until it is complete", () => {
    expect(stream([...Buffer.from("é木🌱")])).toEqual(["", "é", "", "", "木", "", "", "", "🌱", ""]);
  });

  test("gives a replacement for what never became complete, at the end or when something else follows", () => {
    expect(stream([0xe6, 0x9c])).toEqual(["", "", "\ufffd"]);
    expect(stream([0xe6, 0x61])).toEqual(["", "\ufffda", ""]);
  });

  test("control tokens have no text and do not break a character apart", () => {
    expect(stream([0xc3, spec.eosToken!, 0xa9])).toEqual(["", "", "é", ""]);
  });

  test("all that it gives, put together, is what decode gives, for any text and for any tokens", () => {
    const ofText = anyText.map((text) => tokenizer.encode(text, { special: true }));
    const anyTokens = fc.array(fc.nat(spec.tokens.length - 1));
    fc.assert(
      fc.property(fc.oneof(ofText, anyTokens), (tokens) => {
        expect(stream(tokens).join("")).toBe(tokenizer.decode(tokens));
      }),
      { numRuns: 500 },
    );
  });

  test("what it gave so far is always the beginning of the text", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const detokenizer = new Detokenizer(tokenizer);
        let soFar = "";
        for (const token of tokenizer.encode(text, { special: false })) {
          soFar += detokenizer.push(token);
          expect(text.startsWith(soFar)).toBe(true);
        }
      }),
    );
  });
});
