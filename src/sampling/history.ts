/**
 * @file The text so far, prompt first. What is picked next depends on this, the target's row and the seed alone:
 * `length` is the position the noise is looked up by, and `counts` is what penalties need.
 */

import type { TokenId } from "../types.ts";
import { TextCounts } from "./text-counts.ts";

export class History {
  readonly promptLength: number;
  readonly #tokens: TokenId[];
  #counts: TextCounts | undefined;

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

  /** Of the text as it is now and will be: the same object always. */
  get counts(): TextCounts {
    // Counted when first asked for: most requests have no penalties.
    if (this.#counts === undefined) {
      this.#counts = new TextCounts();
      this.#count();
    }
    return this.#counts;
  }

  push(token: TokenId): void {
    this.#tokens.push(token);
    this.#counts?.add(token, 1);
  }

  /** Forgets all tokens from position `length` on. */
  truncate(length: number): void {
    if (length < this.promptLength || length > this.length) {
      throw new Error(`internal: a history of ${this.length} tokens cut to ${length}`);
    }
    if (length === this.length) return;
    this.#tokens.length = length;
    this.#counts?.clear();
    this.#count();
  }

  #count(): void {
    for (const [position, token] of this.#tokens.entries())
      this.#counts?.add(token, position < this.promptLength ? 0 : 1);
  }
}
