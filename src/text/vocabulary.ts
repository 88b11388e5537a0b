/** @file What a model's file says about its tokenizer, and what each family of tokenizers makes of it. */

import type { TokenId } from "../types.ts";

/** `checkpoint/` fills it from GGUF metadata. */
export interface TokenizerSpec {
  /** `tokenizer.ggml.model`: "gpt2" is byte-level BPE, "llama" is SentencePiece BPE. */
  readonly model: string;
  /** `tokenizer.ggml.pre`: how byte-level BPE cuts words, such as "smollm". */
  readonly pre: string;
  readonly tokens: readonly string[];
  /** GGUF token types, by token: see {@link tokenType}. */
  readonly types: readonly number[];
  /** Byte-level BPE: pairs of tokens with a space between, the first to be merged first. */
  readonly merges: readonly string[];
  /** SentencePiece, by token: of all merges, the one whose result has the highest score comes first. */
  readonly scores: readonly number[];
  readonly bosToken?: TokenId;
  readonly eosToken?: TokenId;
  /** Ends a turn, where that is not what ends a text. */
  readonly eotToken?: TokenId;
  /** Stands for characters that the vocabulary cannot spell, not even in bytes. */
  readonly unknownToken?: TokenId;
  readonly addBos: boolean;
  readonly addEos: boolean;
  /** A space goes before every text. */
  readonly addSpacePrefix: boolean;
  /** White space that follows a control token is dropped (Phi-3). */
  readonly trimAfterControl: boolean;
}

/** The token types of GGUF. */
export const tokenType = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Text to tokens and back, but for the tokens that are found in a text as a whole. */
export interface Vocabulary {
  /** `text` as names of tokens spell it. */
  spell(text: string): string;
  /** Appends the tokens of a text that is spelled so and not empty. */
  encode(spelled: string, tokens: TokenId[]): void;
  /** The bytes of UTF-8 text that a token of this name and type stands for. */
  bytes(name: string, type: number): Uint8Array;
}
