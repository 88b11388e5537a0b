/**
 * @file Finds stop strings in text that comes in pieces. No part of a stop string is ever emitted: text that could be
 * the beginning of one is held back until it is clear.
 */

export interface StopResult {
  /** Text that is certain to belong to the result. */
  readonly emit: string;
  /** A stop string was found; it and all behind it are dropped. */
  readonly stopped: boolean;
}

export class StopMatcher {
  readonly #stops: readonly string[];
  #held = "";
  #stopped = false;

  /** Throws RangeError for an empty stop string: it would match everywhere. */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) throw new RangeError("a stop string must not be empty");
    this.#stops = stops;
  }

  /** The result ends where the stop string that is complete first begins; of several complete at once, the longest. */
  push(text: string): StopResult {
    if (this.#stopped) return { emit: "", stopped: true };
    const all = this.#held + text;
    const start = this.#firstMatch(all);
    if (start !== undefined) {
      this.#stopped = true;
      this.#held = "";
      return { emit: all.slice(0, start), stopped: true };
    }
    const clear = all.length - this.#openLength(all);
    this.#held = all.slice(clear);
    return { emit: all.slice(0, clear), stopped: false };
  }

  /** What was held back, when the text ends without a stop string. */
  end(): string {
    const rest = this.#held;
    this.#held = "";
    return rest;
  }

  /** Start of the match with the earliest end, so that how the text was cut into pieces makes no difference. */
  #firstMatch(text: string): number | undefined {
    let best: { start: number; end: number } | undefined;
    for (const stop of this.#stops) {
      const start = text.indexOf(stop);
      if (start < 0) continue;
      const end = start + stop.length;
      if (best === undefined || end < best.end || (end === best.end && start < best.start))
        best = { start, end };
    }
    return best?.start;
  }

  /** Length of the longest end of `text` that begins a stop string. */
  #openLength(text: string): number {
    let longest = 0;
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length;
      }
    }
    return longest;
  }
}
