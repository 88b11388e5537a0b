/**
 * @file Tokens to text as they come. A character may be spread over several tokens: nothing of it is shown before it is
 * complete. What all calls return, put together, is what `decode` gives for all tokens.
 */

import type { TokenId } from "../types.ts";

/** Where the bytes of tokens come from; a `Tokenizer` is one. */
export interface TokenBytes {
  /** Bytes of UTF-8 text; none for a control token. */
  tokenBytes(token: TokenId): Uint8Array;
  /** The tokens of a text begin with a space that is no part of it (SentencePiece). */
  readonly startsWithSpace: boolean;
}

export class Detokenizer {
  readonly #source: TokenBytes;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #dropsSpace: boolean;
  #atStart = true;

  /** With `continues`, the tokens go on with a text, so that a space at their start belongs to it. */
  constructor(source: TokenBytes, { continues = false } = {}) {
    this.#source = source;
    this.#dropsSpace = source.startsWithSpace && !continues;
  }

  /** The characters that became complete with `token`; often one word, sometimes nothing. */
  push(token: TokenId): string {
    const text = this.#decoder.decode(this.#source.tokenBytes(token), { stream: true });
    if (text === "" || !this.#atStart) return text;
    this.#atStart = false;
    return this.#dropsSpace && text.startsWith(" ") ? text.slice(1) : text;
  }

  /** What is left of a character that never became complete, as U+FFFD. The next push starts anew. */
  end(): string {
    this.#atStart = true;
    return this.#decoder.decode();
  }
}
