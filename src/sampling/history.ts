/**
 * @file The text so far, prompt first. What is picked next depends on this, the target's row and the seed alone:
 * `length` is the position the noise is looked up by, and `counts` is what penalties need.
 */

import type { TokenId } from "../types.ts";

export class History {
  readonly promptLength: number;
  readonly #tokens: TokenId[];
  #counts: Map<TokenId, number> | undefined;

  constructor(prompt: readonly TokenId[]) {
    this.#tokens = [...prompt];
    this.promptLength = prompt.length;
  }

  /** Tokens of the text, which is also the position of the next one. */
  get length(): number {
    return this.#tokens.length;
  }

  get tokens(): readonly TokenId[] {
    return this.#tokens;
  }

  /** Every token of the text, with how often it was generated (0 for those that only the prompt has). */
  get counts(): ReadonlyMap<TokenId, number> {
    // Counted when first asked for: most requests have no penalties.
    if (this.#counts === undefined) {
      this.#counts = new Map();
      for (let position = 0; position < this.length; position++) {
        const token = this.#tokens[position]!;
        const generated = position < this.promptLength ? 0 : 1;
        this.#counts.set(token, (this.#counts.get(token) ?? 0) + generated);
      }
    }
    return this.#counts;
  }

  push(token: TokenId): void {
    this.#tokens.push(token);
    this.#counts?.set(token, (this.#counts.get(token) ?? 0) + 1);
  }

  /** Forgets all tokens from position `length` on. */
  truncate(length: number): void {
    if (length < this.promptLength || length > this.length) {
      throw new Error(`internal: a history of ${this.length} tokens cut to ${length}`);
    }
    if (length === this.length) return;
    this.#tokens.length = length;
    this.#counts = undefined;
  }
}
