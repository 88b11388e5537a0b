/**
 * @file Tokens that are found in a text as a whole before words are cut: at each place the longest one, from left to
 * right (as the Aho-Corasick matching of the `tokenizers` library, leftmost-longest).
 */

import type { TokenId } from "../types.ts";
import { TokenTable, unitsOf } from "./token-table.ts";

/** A name that is found in texts. */
export interface AddedToken {
  readonly name: string;
  readonly token: TokenId;
  /** White space that follows it is dropped. */
  readonly trims: boolean;
}

export class AddedTokens {
  readonly #tokens: readonly AddedToken[];
  readonly #table: TokenTable;
  /** By the first unit of names: their lengths, longest first. */
  readonly #lengths: ReadonlyMap<number, readonly number[]>;

  constructor(tokens: readonly AddedToken[]) {
    this.#tokens = tokens;
    this.#table = new TokenTable(tokens.map(({ name }) => name));
    const lengths = new Map<number, Set<number>>();
    for (const { name } of tokens) {
      const first = name.charCodeAt(0);
      lengths.set(first, (lengths.get(first) ?? new Set()).add(name.length));
    }
    this.#lengths = new Map(
      Array.from(lengths, ([first, set]) => [first, [...set].toSorted((a, b) => b - a)]),
    );
  }

  /** Calls `onText` and `onToken` for what lies between the tokens, never empty, and for the tokens, in order. */
  cut(text: string, onText: (text: string) => void, onToken: (token: TokenId) => void): void {
    const units = this.#lengths.size === 0 ? new Uint16Array() : unitsOf(text);
    let start = 0;
    for (let at = 0; at < units.length; ) {
      const found = this.#at(units, at);
      if (found === undefined) {
        at++;
        continue;
      }
      if (at > start) onText(text.slice(start, at));
      onToken(found.token);
      at += found.name.length;
      if (found.trims) while (isSpace(text[at])) at++;
      start = at;
    }
    if (start < text.length) onText(text.slice(start));
  }

  /** `text` with `mark` behind the first character of every place where a name begins, so that none is found any more. */
  interrupt(text: string, mark: string): string {
    const units = unitsOf(text);
    let marked = "";
    let start = 0;
    for (let at = 0; at < units.length; at++) {
      if (this.#at(units, at) === undefined) continue;
      marked += text.slice(start, at + 1) + mark;
      start = at + 1;
    }
    return marked + text.slice(start);
  }

  #at(units: Uint16Array, at: number): AddedToken | undefined {
    for (const length of this.#lengths.get(units[at]!) ?? []) {
      if (at + length > units.length) continue;
      const index = this.#table.find(units, at, at + length);
      if (index >= 0) return this.#tokens[index];
    }
    return undefined;
  }
}

/** U+2581 is a space as SentencePiece spells it. */
function isSpace(character: string | undefined): boolean {
  return character !== undefined && /^[\p{White_Space}\u2581]$/u.test(character);
}
