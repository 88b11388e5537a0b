/**
 * @file A model for many users at once: so many texts share its passes, so many more wait, and prompts start from what past texts have in
 * their caches. Each text is the one that {@link Model.generate} gives.
 */

import type { GenerateEvent, GenerateRequest } from "./api.ts";
import { generate } from "./generate.ts";
import type { Model } from "./model.ts";
import { Places } from "./places.ts";
import { PrefixStore } from "./prefix-store.ts";
import { checkRequest } from "./request.ts";

export interface ServiceOptions {
  /** Texts that are generated at the same time, 1 to 64; default 8. */
  readonly running?: number;
  /** Requests that may wait behind them, >= 0; default 64. */
  readonly waiting?: number;
  /** Bytes that the caches of past texts may take together, >= 0; default 256 MiB. Those of running texts come on top. */
  readonly prefixBytes?: number;
}

/** What a service does at present. */
export interface ServiceLoad {
  readonly running: number;
  readonly waiting: number;
  /** Past texts whose caches are held, and the bytes that they take. */
  readonly prefixes: number;
  readonly prefixBytes: number;
  /**
   * Bytes that the engine has in use (weights, caches, those of past texts among them, and buffers), and those of freed caches that it keeps
   * for the next texts, at most 96 MiB; of all models in the process. Absent where the engine cannot tell.
   */
  readonly engineBytes?: number;
  readonly engineKeptBytes?: number;
}

export class Service implements AsyncDisposable {
  readonly #model: Model;
  readonly #places: Places;
  readonly #prefixes: PrefixStore;

  /** Throws RangeError when an option is out of its range. The model stays its owner's. */
  constructor(model: Model, options: ServiceOptions = {}) {
    const { running = 8, waiting = 64, prefixBytes = 256 * 2 ** 20 } = options;
    const ranges = { running: [1, 64], waiting: [0, Infinity], prefixBytes: [0, Infinity] } as const;
    for (const [name, value] of Object.entries({ running, waiting, prefixBytes })) {
      const [least, most] = ranges[name as keyof typeof ranges];
      if (Number.isInteger(value) && value >= least && value <= most) continue;
      const range = most === Infinity ? `of at least ${least}` : `from ${least} to ${most}`;
      throw new RangeError(`${name} is ${value}; give an integer ${range}`);
    }
    this.#model = model;
    this.#places = new Places(running, waiting);
    this.#prefixes = new PrefixStore(prefixBytes);
  }

  get name(): string {
    return this.#model.name;
  }

  get contextLength(): number {
    return this.#model.contextLength;
  }

  get methodNames(): string[] {
    return this.#model.methodNames;
  }

  get defaultMethod(): string {
    return this.#model.defaultMethod;
  }

  get load(): ServiceLoad {
    const { taken: running, waiting } = this.#places;
    const { memory } = this.#model.parts.target;
    return {
      running,
      waiting,
      prefixes: this.#prefixes.size,
      prefixBytes: this.#prefixes.bytes,
      ...(memory && { engineBytes: memory.used, engineKeptBytes: memory.kept }),
    };
  }

  /** Seconds, whole and at least 1, after which a request is likely not to be refused. */
  get retryAfter(): number {
    return this.#places.retryAfter;
  }

  /**
   * As {@link Model.generate}, when it is this request's turn. The first `next()` throws EspalierError "overloaded" too, when too
   * many wait already. Aborting gives up the place, in the queue or in the passes, and ends the text with stopReason "aborted".
   */
  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    const model = this.#model;
    const checked = checkRequest(request, model.parts, model.contextLength);
    const method = model.begin(checked.method);
    const { prompt, signal } = checked;
    const leave = await this.#places.enter(signal);
    let end: GenerateEvent | undefined;
    try {
      const cache = await model.openCache(checked);
      if (!signal?.aborted) cache.adopt(prompt.slice(0, await this.#prefixes.fill(cache.sequence, prompt)));
      const text = this.#prefixes.begin(prompt, cache.sequence);
      try {
        for await (const event of generate(model.parts, method, cache, checked, model.contextLength)) {
          if (event.type === "end") end = event;
          else yield event;
        }
      } finally {
        await cache.freeDrafters();
        await this.#prefixes.keep(text, cache.tokens);
      }
    } finally {
      leave();
    }
    // Who has read the end need not ask for more: all that was the text's is free.
    if (end) yield end;
  }

  /** Frees the caches of past texts; those of texts that run are freed when they end. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#prefixes[Symbol.asyncDispose]();
  }
}
