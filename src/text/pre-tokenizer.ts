/**
 * @file How text is cut into words before merges apply, by the name that GGUF gives to it. Merges never cross a cut, so
 * a wrong pattern gives valid but unusual tokens: every entry follows the tokenizer the model was published with.
 */

import { EspalierError } from "../errors.ts";

export interface PreTokenizer {
  /** Applied one after the other; what matches and what lies between matches become pieces of their own. */
  readonly patterns: readonly string[];
  /** A piece that is in the vocabulary is one token, whatever the merges say. */
  readonly ignoreMerges: boolean;
  /** Text is brought to Unicode normal form C first. */
  readonly normalize: boolean;
  /** Whether prompts start with the beginning-of-text token when the file does not say. */
  readonly addBos: boolean;
}

const gpt2Words = String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

/** Words of the GPT-4 kind, with numbers as `digits`. U+017F is the only other letter that folds to one of these. */
function gpt4Words(digits: string): string {
  const contraction = "'(?:[sSſtTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])";
  return String.raw`${contraction}|[^\r\n\p{L}\p{N}]?\p{L}+|${digits}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
}

const plain = { ignoreMerges: false, normalize: false, addBos: false };
const gpt2: PreTokenizer = { ...plain, patterns: [gpt2Words] };

const known: ReadonlyMap<string, PreTokenizer> = new Map([
  ["default", gpt2],
  ["gpt-2", gpt2],
  ["smollm", { ...plain, patterns: [String.raw`\p{N}`, gpt2Words] }],
  [
    "llama-bpe",
    { ...plain, patterns: [gpt4Words(String.raw`\p{N}{1,3}`)], ignoreMerges: true, addBos: true },
  ],
  ["qwen2", { ...plain, patterns: [gpt4Words(String.raw`\p{N}`)], normalize: true }],
]);

/** Throws EspalierError "unsupported-tokenizer", which lists what is supported. */
export function preTokenizer(model: string, pre: string): PreTokenizer {
  if (model !== "gpt2") {
    throw new EspalierError(
      "unsupported-tokenizer",
      `the tokenizer model ${JSON.stringify(model)} is not supported; supported: "gpt2" (byte-level BPE)`,
    );
  }
  const found = known.get(pre);
  if (found === undefined) {
    throw new EspalierError(
      "unsupported-tokenizer",
      `the pre-tokenizer ${JSON.stringify(pre)} is not supported; supported: ${[...known.keys()].join(", ")}`,
    );
  }
  return found;
}
