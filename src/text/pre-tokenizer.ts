/**
 * @file How text is cut into words before merges apply, by the name that GGUF gives to it. Merges never cross a cut, so
 * a wrong pattern gives valid but unusual tokens: every entry follows the tokenizer the model was published with.
 */

import { EspalierError } from "../errors.ts";

export interface PreTokenizer {
  /** Applied one after the other; what matches and what lies between matches become words of their own. */
  readonly patterns: readonly RegExp[];
  /** A word that is in the vocabulary is one token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Text is brought to Unicode normal form C first. */
  readonly normalize: boolean;
  /** Whether prompts start with the beginning-of-text token when the file does not say. */
  readonly addBos: boolean;
}

/** Oniguruma's meaning of \s, which the published patterns rely on: U+0085 belongs to it, U+FEFF does not. */
function pattern(source: string): RegExp {
  return new RegExp(source.replaceAll("\\s", "\\p{White_Space}").replaceAll("\\S", "\\P{White_Space}"), "gu");
}

/** Contractions in any case; U+017F is the only other letter that folds to one of these. */
const contraction = "'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
const blanks = String.raw`\s*[\r\n]+|\s+(?!\S)|\s+`;

const gpt2Words = pattern(
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`,
);
const digit = pattern(String.raw`\p{N}`);

/** Words of the GPT-4 kind: `letters` after one character that is no letter, and numbers as `digits`. */
function gpt4Words(digits: string, letters = String.raw`\p{L}`, marks = ""): RegExp {
  return pattern(
    String.raw`${contraction}|[^\r\n\p{L}\p{N}]?[${letters}]+|${digits}| ?[^\s\p{L}${marks}\p{N}]+[\r\n]*|${blanks}`,
  );
}

/** Words of the GPT-4o kind: capitals begin a word inside of one. */
function gpt4oWords(digits: string, ending: string): RegExp {
  const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
  const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
  const before = String.raw`[^\r\n\p{L}\p{N}]?`;
  return pattern(
    `${before}${upper}*${lower}+${ending}|${before}${upper}+${lower}*${ending}` +
      String.raw`|${digits}| ?[^\s\p{L}\p{N}]+[\r\n/]*|${blanks}`,
  );
}

const deepseekWords = pattern(
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+" +
    String.raw`|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|${blanks}`,
);

const plain = { ignoreMerges: false, normalize: false, addBos: false };
const upTo3 = String.raw`\p{N}{1,3}`;

const gpt2: PreTokenizer = { ...plain, patterns: [gpt2Words] };
const singleDigits: PreTokenizer = { ...plain, patterns: [digit, gpt2Words] };
const llama3: PreTokenizer = { ...plain, patterns: [gpt4Words(upTo3)], ignoreMerges: true, addBos: true };
const smaug: PreTokenizer = { ...plain, patterns: [gpt4Words(upTo3)] };
const qwen2: PreTokenizer = { ...plain, patterns: [gpt4Words(String.raw`\p{N}`)], normalize: true };
const qwen35: PreTokenizer = {
  ...plain,
  patterns: [gpt4Words(String.raw`\p{N}`, String.raw`\p{L}\p{M}`, String.raw`\p{M}`)],
  normalize: true,
};
const gpt4o: PreTokenizer = { ...plain, patterns: [gpt4oWords(upTo3, `(?:${contraction})?`)] };
const tekken: PreTokenizer = {
  ...plain,
  patterns: [gpt4oWords(String.raw`\p{N}`, "")],
  ignoreMerges: true,
  addBos: true,
};
const deepseek: PreTokenizer = {
  ...plain,
  patterns: [pattern(upTo3), pattern("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"), deepseekWords],
};

const known: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", gpt2],
  ["gpt-2", gpt2],
  ["smollm", singleDigits],
  ["starcoder", singleDigits],
  ["refact", singleDigits],
  ["command-r", { ...singleDigits, normalize: true }],
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["smaug-bpe", smaug],
  ["dbrx", smaug],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["qwen35", qwen35],
  ["gpt-4o", gpt4o],
  ["llama4", gpt4o],
  ["tekken", tekken],
  ["deepseek-v3", deepseek],
]);

/** Throws EspalierError "unsupported-tokenizer", which lists what is supported. */
export function preTokenizer(name: string): PreTokenizer {
  const found = known.get(name);
  if (found === undefined) {
    throw new EspalierError(
      "unsupported-tokenizer",
      `the pre-tokenizer ${JSON.stringify(name.slice(0, 60))} is not supported; supported: ${[...known.keys()].join(", ")}`,
    );
  }
  return found;
}

/** The words of a text; put together they are the text. */
export function cutWords(text: string, { patterns }: PreTokenizer): string[] {
  return patterns.reduce((words, each) => words.flatMap((word) => cutAt(word, each)), [text]);
}

/** What matches, and what lies between. */
function cutAt(text: string, pattern: RegExp): string[] {
  const parts: string[] = [];
  let end = 0;
  for (const { 0: match, index } of text.matchAll(pattern)) {
    if (index > end) parts.push(text.slice(end, index));
    parts.push(match);
    end = index + match.length;
  }
  if (end < text.length) parts.push(text.slice(end));
  return parts;
}
