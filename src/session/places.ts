/** @file A bounded number of places, and a bounded queue before them: first come, first served. */

import { EspalierError } from "../errors.ts";

/** What the latest stay counts in the running mean. */
const NEWEST = 1 / 8;

export class Places {
  readonly #places: number;
  readonly #seats: number;
  readonly #queue: (() => void)[] = [];
  #taken = 0;
  /** Milliseconds that a place is taken, a running mean; 0 before the first one is free again. */
  #stayMs = 0;

  /** `places` that may be taken, and `seats` for those who wait. */
  constructor(places: number, seats: number) {
    this.#places = places;
    this.#seats = seats;
  }

  get taken(): number {
    return this.#taken;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  /** Seconds after which a place is likely to be free for who does not get a seat now, at least 1. */
  get retryAfter(): number {
    return Math.max(1, Math.ceil((this.#stayMs * (1 + this.#queue.length)) / this.#places / 1000));
  }

  /**
   * Waits for a place; what it gives frees it, and must be called. An aborted one gets no place and waits for none. Throws EspalierError "overloaded"
   * when no seat is left.
   */
  async enter(signal?: AbortSignal): Promise<() => void> {
    if (signal?.aborted) return () => {};
    if (this.#taken < this.#places) this.#taken++;
    else if (this.#queue.length < this.#seats) {
      if (!(await this.#wait(signal))) return () => {};
    } else {
      throw new EspalierError(
        "overloaded",
        `${this.#taken} texts are being generated and ${this.#queue.length} wait; try again in ${this.retryAfter} s`,
      );
    }
    const start = performance.now();
    let left = false;
    return () => {
      if (left) return;
      left = true;
      const ms = performance.now() - start;
      this.#stayMs = this.#stayMs === 0 ? ms : this.#stayMs + (ms - this.#stayMs) * NEWEST;
      const next = this.#queue.shift();
      // The place goes to the next one as it is.
      if (next) next();
      else this.#taken--;
    };
  }

  /** True when there is a place, false when it was aborted before. */
  #wait(signal: AbortSignal | undefined): Promise<boolean> {
    return new Promise((resolve) => {
      const settle = (got: boolean) => {
        signal?.removeEventListener("abort", onAbort);
        resolve(got);
      };
      const onTurn = () => settle(true);
      const onAbort = () => {
        this.#queue.splice(this.#queue.indexOf(onTurn), 1);
        settle(false);
      };
      signal?.addEventListener("abort", onAbort);
      this.#queue.push(onTurn);
    });
  }
}
