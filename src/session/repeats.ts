/**
 * @file Whether a text has begun to repeat itself, told without drafting, by what followed the same two tokens before: a text in which drafts did not pay
 * may become one in which they do, and this costs next to nothing to see.
 */

import type { TokenId } from "../types.ts";

/** Above any token. */
const TOKENS = 2 ** 24;

export class Repeats {
  /** By two tokens, what followed them last. */
  readonly #next = new Map<number, TokenId>();
  #read = 0;
  #streak = 0;

  /** Reads on to the end of `tokens`, the text; gives how many of its latest tokens in a row were what had followed the two before them last time. */
  follow(tokens: readonly TokenId[]): number {
    for (; this.#read < tokens.length; this.#read++) {
      const at = this.#read;
      if (at < 2) continue;
      const token = tokens[at]!;
      const pair = tokens[at - 2]! * TOKENS + tokens[at - 1]!;
      this.#streak = this.#next.get(pair) === token ? this.#streak + 1 : 0;
      this.#next.set(pair, token);
    }
    return this.#streak;
  }
}
