/**
 * @file Finds the token that has a name: a hash table over UTF-16 units with open addressing. Unlike a map, it looks up
 * a stretch of a text without making a string of it, and a miss costs one read of memory, mostly.
 */

import { EspalierError } from "../errors.ts";
import type { TokenId } from "../types.ts";

/** Not the same in every process, so that no file can be made whose names all collide. */
const seed = Math.trunc(Math.random() * 2 ** 32);

export class TokenTable {
  /** The names one after the other; that of token t is units[starts[t]] to units[starts[t + 1] - 1]. */
  readonly #units: Uint16Array;
  readonly #starts: Uint32Array;
  /** Pairs of a token and its name's hash, at the place that the hash gives or behind it; token -1 is free. */
  readonly #slots: Int32Array;

  /** Names by token. Empty ones are never found; throws EspalierError "bad-model" when two are the same. */
  constructor(names: readonly string[]) {
    this.#starts = new Uint32Array(names.length + 1);
    names.forEach((name, token) => {
      this.#starts[token + 1] = this.#starts[token]! + name.length;
    });
    this.#units = new Uint16Array(this.#starts[names.length]!);
    let at = 0;
    for (const name of names) for (let i = 0; i < name.length; i++) this.#units[at++] = name.charCodeAt(i);
    this.#slots = new Int32Array(2 * 2 ** Math.ceil(Math.log2(2 * names.length + 2))).fill(-1);
    names.forEach((name, token) => {
      if (name !== "") this.#insert(token, names);
    });
  }

  /** The token whose name is units[start] to units[end - 1]; -1 when there is none. */
  find(units: Uint16Array, start: number, end: number): TokenId {
    return this.#slots[this.#slot(hashOf(units, start, end), units, start, end)]!;
  }

  #insert(token: TokenId, names: readonly string[]): void {
    const start = this.#starts[token]!;
    const end = this.#starts[token + 1]!;
    const hash = hashOf(this.#units, start, end);
    const slot = this.#slot(hash, this.#units, start, end);
    const other = this.#slots[slot]!;
    if (other >= 0) {
      const name = JSON.stringify(names[token]!.slice(0, 60));
      throw new EspalierError("bad-model", `tokens ${other} and ${token} of the vocabulary are both ${name}`);
    }
    this.#slots[slot] = token;
    this.#slots[slot + 1] = hash;
  }

  /** Where that name is, or the free place where it would be. */
  #slot(hash: number, units: Uint16Array, start: number, end: number): number {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = (2 * hash) & mask;
    while (slots[slot]! >= 0) {
      if (slots[slot + 1] === hash && this.#hasName(slots[slot]!, units, start, end)) break;
      slot = (slot + 2) & mask;
    }
    return slot;
  }

  #hasName(token: TokenId, units: Uint16Array, start: number, end: number): boolean {
    const from = this.#starts[token]!;
    if (this.#starts[token + 1]! - from !== end - start) return false;
    for (let i = start; i < end; i++) if (this.#units[from + i - start] !== units[i]) return false;
    return true;
  }
}

function hashOf(units: Uint16Array, start: number, end: number): number {
  let hash = seed;
  for (let i = start; i < end; i++) hash = Math.imul(hash ^ units[i]!, 0x01000193);
  return hash ^ (hash >>> 15);
}

/** The UTF-16 units of a text. */
export function unitsOf(text: string): Uint16Array {
  const units = new Uint16Array(text.length);
  for (let i = 0; i < text.length; i++) units[i] = text.charCodeAt(i);
  return units;
}
