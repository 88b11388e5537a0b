/** @file Which tokens a text has, and how often each was generated: kept as the text grows, in arrays that the engine reads. */

import type { TokenCounts } from "../target/penalties.ts";
import type { TokenId } from "../types.ts";

export class TextCounts implements TokenCounts {
  tokens = new Int32Array(64);
  generated = new Int32Array(64);
  readonly #places = new Map<TokenId, number>();

  get size(): number {
    return this.#places.size;
  }

  /** How often a token was generated; undefined where the text has none. */
  times(token: TokenId): number | undefined {
    const place = this.#places.get(token);
    return place === undefined ? undefined : this.generated[place];
  }

  /** A token of the prompt counts 0 times, one that was generated once. */
  add(token: TokenId, times: 0 | 1): void {
    let place = this.#places.get(token);
    if (place === undefined) {
      place = this.size;
      if (place === this.tokens.length) this.#grow();
      this.#places.set(token, place);
      this.tokens[place] = token;
      this.generated[place] = 0;
    }
    this.generated[place]! += times;
  }

  clear(): void {
    this.#places.clear();
  }

  #grow(): void {
    const { tokens, generated } = this;
    this.tokens = new Int32Array(2 * tokens.length);
    this.generated = new Int32Array(2 * tokens.length);
    this.tokens.set(tokens);
    this.generated.set(generated);
  }
}
