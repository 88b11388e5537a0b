/** @file The end of a text and the paths behind it that a step asks about: a trie, whose nodes are used again in the next step. */

import type { TokenId } from "../types.ts";
import { Match } from "./suffix-automaton.ts";

/** One of them; each is looked for once a step, however often it is asked about. */
export class Spot {
  depth = 0;
  /** Where it ends in each automaton. */
  readonly matches: Match[] = [];
  /** Where it ends among the store's continuations: -1 at the root of them, undefined where they do not go on so. */
  stored: number | undefined;
  /** Whether what follows was looked for; what was found: `size` tokens without doubles, and their classes. */
  searched = false;
  size = 0;
  readonly tokens: TokenId[] = [];
  readonly classes: number[] = [];
  #token: TokenId = 0;
  #firstChild: Spot | undefined;
  #sibling: Spot | undefined;

  /** Becomes a spot that nothing is known of. */
  reset(depth: number, token: TokenId): void {
    this.depth = depth;
    this.#token = token;
    this.#firstChild = this.#sibling = this.stored = undefined;
    this.searched = false;
    this.size = 0;
  }

  /** Its own {@link Match} number `i`. */
  match(i: number): Match {
    this.matches[i] ??= new Match();
    return this.matches[i];
  }

  child(token: TokenId): Spot | undefined {
    let spot = this.#firstChild;
    while (spot !== undefined && spot.#token !== token) spot = spot.#sibling;
    return spot;
  }

  adopt(spot: Spot): void {
    spot.#sibling = this.#firstChild;
    this.#firstChild = spot;
  }

  /** Where `token` is among those that were found; -1: nowhere. */
  placeOf(token: TokenId): number {
    for (let at = 0; at < this.size; at++) if (this.tokens[at] === token) return at;
    return -1;
  }

  add(token: TokenId, index: number): void {
    this.tokens[this.size] = token;
    this.classes[this.size++] = index;
  }
}

export class Spots {
  readonly #all: Spot[] = [];
  #taken = 0;

  /** The end of the text; all others are forgotten. */
  begin(): Spot {
    this.#taken = 0;
    return this.#take(0, 0);
  }

  /** A new one, `token` behind `before`. */
  behind(before: Spot, token: TokenId): Spot {
    const spot = this.#take(before.depth + 1, token);
    before.adopt(spot);
    return spot;
  }

  #take(depth: number, token: TokenId): Spot {
    const at = this.#taken++;
    this.#all[at] ??= new Spot();
    const spot = this.#all[at];
    spot.reset(depth, token);
    return spot;
  }
}
