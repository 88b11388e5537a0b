/** @file Passes on the same threads take turns, and those that run on the JavaScript thread let other events have theirs. */

import { setImmediate } from "node:timers/promises";

/** Milliseconds for which passes on the JavaScript thread may keep other events waiting: one turn of theirs takes 0.06 ms. */
const HELD_MS = 16;

export class Turns {
  readonly #before: () => void;
  /** Passes that run off the JavaScript thread or wait for their turn, and the end of the last of them. */
  #count = 0;
  #last: Promise<void> = Promise.resolve();
  /** When other events last had their turn. */
  #breathed = 0;

  /** `before`: what comes before every pass. */
  constructor(before: () => void) {
    this.#before = before;
  }

  /** Whether no pass runs or waits. */
  get isIdle(): boolean {
    return this.#count === 0;
  }

  /** Starts a pass when those before it are done, and at once when there is none. */
  async take<T>(start: () => T | Promise<T>): Promise<T> {
    const begin = () => {
      this.#before();
      return start();
    };
    const done = this.#count === 0 ? begin() : this.#last.then(begin);
    if (!(done instanceof Promise)) return done;
    this.#count++;
    const end = () => {
      this.#count--;
    };
    this.#last = done.then(end, end);
    return done;
  }

  /** After {@link HELD_MS} of passes on the JavaScript thread, other events have their turn. */
  breathe(): Promise<void> | undefined {
    if (performance.now() - this.#breathed < HELD_MS) return undefined;
    return setImmediate().then(() => {
      this.#breathed = performance.now();
    });
  }

  /** Resolves when no pass runs or waits. */
  async idle(): Promise<void> {
    await this.#last;
  }
}
