/** @file Stand-ins until `text/` has its detokenizer and stop matcher. */

import type { TokenId } from "../types.ts";

export class Detokenizer {
  readonly #decoder: { decode(tokens: readonly TokenId[]): string };

  constructor(decoder: { decode(tokens: readonly TokenId[]): string }) {
    this.#decoder = decoder;
  }

  push(token: TokenId): string {
    return this.#decoder.decode([token]);
  }

  end(): string {
    return "";
  }
}

export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  push(text: string): { emit: string; stopped: boolean } {
    const all = this.#held + text;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = "";
      return { emit: all.slice(0, Math.min(...found)), stopped: true };
    }
    let keep = all.length;
    for (let at = 0; at < all.length && keep === all.length; at++) {
      if (this.#stops.some((stop) => stop.startsWith(all.slice(at)))) keep = at;
    }
    this.#held = all.slice(keep);
    return { emit: all.slice(0, keep), stopped: false };
  }

  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }
}
