/** @file A tokenizer for tests: the 256 bytes, a few merges, and tokens of every special kind. */

import type { TokenizerSpec } from "../src/text/vocabulary.ts";

function isPrintable(byte: number): boolean {
  return (byte > 32 && byte < 127) || (byte > 160 && byte !== 173);
}

/** The 256 characters of the byte-level alphabet, by byte. */
function alphabet(): string[] {
  let next = 256;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++));
}

/** Tokens 0 to 255 are the bytes; then come the merges, "<|im_start|>", "<|im_end|>", and `userDefined`. */
export function byteVocabulary(
  merges: readonly string[] = [],
  { pre = "smollm", userDefined = [] as readonly string[] } = {},
): TokenizerSpec {
  const bytes = alphabet();
  const merged = merges.map((merge) => merge.replace(" ", ""));
  const control = ["<|im_start|>", "<|im_end|>"];
  const tokens = [...bytes, ...merged, ...control, ...userDefined];
  const eosToken = bytes.length + merged.length + 1;
  return {
    model: "gpt2",
    pre,
    tokens,
    types: tokens.map((_, token) => {
      if (token < eosToken - 1) return 1;
      return token <= eosToken ? 3 : 4;
    }),
    merges,
    scores: [],
    bosToken: eosToken - 1,
    eosToken,
    addBos: false,
    addEos: false,
    addSpacePrefix: false,
    trimAfterControl: false,
  };
}
