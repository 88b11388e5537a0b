/** @file A conversation: one cache that the next turn goes on from, as far as the texts agree. */

import type { GenerateEvent, GenerateRequest } from "./api.ts";
import type { Cache } from "./cache.ts";
import { generate } from "./generate.ts";
import type { Model } from "./model.ts";
import { checkRequest } from "./request.ts";

export class Session implements AsyncDisposable {
  readonly #model: Model;
  readonly #cache: Cache;
  readonly contextLength: number;
  #state: "idle" | "busy" | "disposed" = "idle";

  /** Made by {@link Model.createSession}. */
  constructor(model: Model, cache: Cache, contextLength: number) {
    this.#model = model;
    this.#cache = cache;
    this.contextLength = contextLength;
  }

  /** Tokens in the cache. */
  get cachedTokens(): number {
    return this.#cache.length;
  }

  /**
   * Generates from the whole conversation so far (as in {@link Model.generate}); what the cache has of it is not read
   * again. Errors come out of the first `next()`. One generation at a time.
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    if (this.#state !== "idle") {
      throw new Error(
        `the session is ${this.#state}; finish its generation first, or create another session`,
      );
    }
    const { parts } = this.#model;
    const checked = checkRequest(request, parts, this.contextLength);
    const method = this.#model.begin(checked.method);
    this.#state = "busy";
    try {
      yield* generate(parts, method, this.#cache, checked, this.contextLength);
    } finally {
      this.#state = "idle";
    }
  }

  /** Frees the cache. Throws when a generation has not come to its end. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "disposed") return;
    if (this.#state === "busy")
      throw new Error("the session is busy; finish its generation before it is freed");
    this.#state = "disposed";
    await this.#cache[Symbol.asyncDispose]();
  }
}
