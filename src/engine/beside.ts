/** @file A pass that runs on one thread beside JavaScript, over weights that serve one pass at a time. */

import type { Binding, PassRequest } from "./binding.ts";

export class Beside {
  readonly #binding: Binding;
  /** Waits for the pass that runs. */
  #settle: (() => void) | undefined;

  constructor(binding: Binding) {
    this.#binding = binding;
  }

  /** Begins a pass, unless no thread can be spared. Gives what waits for it, and throws what went wrong. No other may run on its threads. */
  begin(pass: PassRequest): (() => void) | undefined {
    this.settle();
    const handle = this.#binding.forwardBegin(pass);
    if (!handle) return undefined;
    let failure: unknown;
    const settle = () => {
      this.#settle = undefined;
      try {
        this.#binding.forwardEnd(handle);
      } catch (error) {
        failure = error;
      }
    };
    this.#settle = settle;
    return () => {
      if (this.#settle === settle) settle();
      if (failure !== undefined) throw failure;
    };
  }

  /** Waits for what runs, whoever began it. */
  settle(): void {
    this.#settle?.();
  }
}
