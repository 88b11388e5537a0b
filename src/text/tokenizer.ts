/** @file Text to token ids and back, by `@huggingface/tokenizers` from what the model's file holds. */

import type { TokenId } from "../types.ts";

/** What a model's file says about its tokenizer; `checkpoint/` fills it from GGUF metadata. */
export interface TokenizerSpec {
  /** `tokenizer.ggml.model`: "gpt2" is byte-level BPE. */
  readonly model: string;
  /** `tokenizer.ggml.pre`: which pre-tokenizer, such as "smollm". */
  readonly pre: string;
  readonly tokens: readonly string[];
  /** GGUF token types: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly types: readonly number[];
  readonly merges: readonly string[];
  readonly bosToken?: TokenId;
  readonly eosToken?: TokenId;
  readonly addBos: boolean;
  readonly addSpacePrefix: boolean;
}
