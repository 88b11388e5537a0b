/** @file What followed a match in an automaton, and how often. */

import type { TokenId } from "../types.ts";
import type { Match, SuffixAutomaton } from "./suffix-automaton.ts";

/** Those that are looked at, the ones that were new last. */
const SEEN = 64;

/** The tokens that followed most often, of equals the last; used again for every match. */
export class Followers {
  /** At most so many. */
  readonly #most: number;
  size = 0;
  /** How often anything followed. */
  total = 0;
  readonly tokens: TokenId[] = [];
  readonly counts: number[] = [];
  readonly #latest: number[] = [];
  #newest = 0;

  constructor(most: number) {
    this.#most = most;
  }

  find(automaton: SuffixAutomaton, { state }: Match): void {
    this.size = this.total = this.#newest = 0;
    automaton.followers(state, SEEN, this.#take);
  }

  /** Whether nothing followed later than the one at `place`. */
  isLast(place: number): boolean {
    return this.#latest[place] === this.#newest;
  }

  readonly #take = (token: TokenId, count: number, latest: number): void => {
    this.total += count;
    if (latest > this.#newest) this.#newest = latest;
    let place = this.size;
    while (place > 0 && this.#isBehind(place - 1, count, latest)) place--;
    if (place === this.#most) return;
    if (this.size < this.#most) this.size++;
    for (let at = this.size - 1; at > place; at--) {
      this.tokens[at] = this.tokens[at - 1]!;
      this.counts[at] = this.counts[at - 1]!;
      this.#latest[at] = this.#latest[at - 1]!;
    }
    this.tokens[place] = token;
    this.counts[place] = count;
    this.#latest[place] = latest;
  };

  #isBehind(place: number, count: number, latest: number): boolean {
    const own = this.counts[place]!;
    return own < count || (own === count && this.#latest[place]! < latest);
  }
}
