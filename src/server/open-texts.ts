/** @file How many generations are open, at most how many may be, and the wait for the last one to end. */

import { ApiError } from "./api-error.ts";

export class OpenTexts {
  readonly #most: number;
  #open = 0;
  #closing: { readonly done: () => void; readonly promise: Promise<void> } | undefined;

  /** `most` >= 1. */
  constructor(most: number) {
    this.#most = most;
  }

  get open(): number {
    return this.#open;
  }

  get closing(): boolean {
    return this.#closing !== undefined;
  }

  /** Takes a place, and gives the function that frees it. Throws ApiError 429 when there is none, 503 when the server shuts down. */
  take(retryAfter: number): () => void {
    const headers = { "retry-after": String(retryAfter) };
    if (this.closing)
      throw new ApiError(503, "the server is shutting down; try another one, or later", {
        code: "shutting_down",
        headers,
      });
    if (this.#open >= this.#most)
      throw new ApiError(429, `all ${this.#most} places are taken; try again in ${retryAfter} s`, {
        code: "overloaded",
        headers,
      });
    this.#open++;
    let taken = true;
    return () => {
      if (!taken) return;
      taken = false;
      this.#open--;
      if (this.#open === 0) this.#closing?.done();
    };
  }

  /** Gives no more places; settles when the last one is free. */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      let done = () => {};
      const promise = new Promise<void>((resolve) => {
        done = resolve;
      });
      this.#closing = { done, promise };
      if (this.#open === 0) done();
    }
    return this.#closing.promise;
  }
}
