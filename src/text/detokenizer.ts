/**
 * @file Tokens to text as they come. A character may be spread over several tokens: nothing of it is shown before it is
 * complete. What all calls return, put together, is what `decode` gives for all tokens.
 */

import type { TokenId } from "../types.ts";

/** Where the bytes of tokens come from; a `Tokenizer` is one. */
export interface TokenBytes {
  /** Bytes of UTF-8 text; none for a control token. */
  tokenBytes(token: TokenId): Uint8Array;
}

export class Detokenizer {
  readonly #source: TokenBytes;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });

  constructor(source: TokenBytes) {
    this.#source = source;
  }

  /** The characters that became complete with `token`; often one word, sometimes nothing. */
  push(token: TokenId): string {
    return this.#decoder.decode(this.#source.tokenBytes(token), { stream: true });
  }

  /** What is left of a character that never became complete, as U+FFFD. The next push starts anew. */
  end(): string {
    return this.#decoder.decode();
  }
}
