/** @file Weights that are read when they are first needed: what comes with a model can draft in more ways than its texts use. */

export class LateWeights<Weights> implements AsyncDisposable {
  readonly #read: () => Promise<Weights>;
  readonly #free: (weights: Weights) => void;
  #weights: Weights | undefined;
  #reading: Promise<void> | undefined;
  #disposed = false;

  constructor(read: () => Promise<Weights>, free: (weights: Weights) => void) {
    this.#read = read;
    this.#free = free;
  }

  /** Throws Error when they are not loaded, or were freed. */
  get weights(): Weights {
    if (this.#weights !== undefined) return this.#weights;
    throw new Error(this.#disposed ? "these weights were freed" : "internal: these weights are not loaded");
  }

  /** Reads them unless they are there. Throws what `read` throws, and may then be called again; Error when they were freed. */
  load(): Promise<void> {
    this.#reading ??= this.#load();
    return this.#reading;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#reading?.catch(() => {});
    if (this.#weights !== undefined) this.#free(this.#weights);
    this.#weights = this.#reading = undefined;
  }

  async #load(): Promise<void> {
    try {
      if (this.#disposed) throw new Error("these weights were freed");
      this.#weights = await this.#read();
    } catch (error) {
      this.#reading = undefined;
      throw error;
    }
  }
}
