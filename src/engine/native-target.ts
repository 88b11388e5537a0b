/**
 * @file A model in the native engine. Its passes run one after the other, each on all threads, off the JavaScript thread unless
 * they are short.
 */

import type { ModelConfig } from "../checkpoint/config.ts";
import { EspalierError } from "../errors.ts";
import { attended } from "../plan/attended.ts";
import { SpareMemory } from "../target/spare-memory.ts";
import type { OwnWant, Pass, SharedWant, Target } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { Beside } from "./beside.ts";
import type { Binding, Matrix, PassFailure, PassRequest, Pool, Stack } from "./binding.ts";
import { NativePass, Rows } from "./native-pass.ts";
import { NativeSequence } from "./native-sequence.ts";
import { stackSpec } from "./stack-spec.ts";
import { Turns } from "./turns.ts";
import type { Weights } from "./weights.ts";

/**
 * Passes over trees of at most so many nodes, for which at most so many bytes of weights and cache are read, run on the JavaScript thread: they
 * take a few milliseconds, of which handing them to another thread and back would be 0.1 to 0.2.
 */
const INLINE_NODES = 16;
const INLINE_BYTES = 160 * 2 ** 20;
/** Tokens of a cache's unit of memory (ESP_SPAN), and bytes of such units that are copied before passes have their turn: 1 to 2 ms. */
const SPAN = 128;
const COPIED = 16 * 2 ** 20;
/** Rows of one pass, over all its trees (ESP_MAX_NODES). */
const MAX_NODES = 128;

export interface NativeTargetOptions {
  /** Threads of a pass, 1 to 64. */
  readonly threads: number;
  /** How keys and values are kept: as 16-bit integers, each key and value with a scale of its own, or as 32-bit floats in twice the memory. Default "i16". */
  readonly cacheType?: "i16" | "f32";
  /** A target that it drafts for: each pass then runs on one thread, one of that target's where it runs aside. */
  readonly beside?: NativeTarget;
  /** Bytes of a layer's weights; short passes run on the JavaScript thread, which sees to other events every few milliseconds. Default: none do. */
  readonly layerBytes?: number;
}

/** A pass through layers [from, to), all by default, of trees whose new nodes have the rows; see {@link PassRequest}. */
export interface Work extends Pick<PassRequest, "trees" | "input" | "abort"> {
  readonly rows: Rows;
  /** Tokens of the texts before it. */
  readonly length: number;
  readonly from?: number;
  readonly to?: number;
  readonly commit?: boolean;
  /** Of one tree, whose newest node alone has a row. */
  readonly chain?: PassRequest["chain"];
}

export class NativeTarget implements Target {
  readonly binding: Binding;
  readonly config: ModelConfig;
  readonly maxNodes = MAX_NODES;
  readonly threads: number;
  /** What rows of passes lie in, and features of a head. */
  readonly spare = new SpareMemory();
  readonly #weights: Weights;
  readonly #pool: Pool;
  readonly #stack: Stack;
  readonly #fixed: boolean;
  readonly #windowed: boolean;
  readonly #layerBytes: number;
  readonly #host: NativeTarget | undefined;
  readonly #beside: Beside;
  readonly #turns: Turns;
  #disposed = false;

  /** Takes over the weights: they are freed with the target, or when this throws. */
  constructor(binding: Binding, config: ModelConfig, weights: Weights, options: NativeTargetOptions) {
    const { threads, cacheType = "i16", layerBytes = Number.POSITIVE_INFINITY, beside } = options;
    this.binding = binding;
    this.config = config;
    this.threads = threads;
    this.#weights = weights;
    this.#fixed = cacheType === "i16";
    this.#windowed = config.windows.some((window) => window !== undefined);
    this.#layerBytes = layerBytes;
    this.#host = beside;
    this.#beside = new Beside(binding);
    this.#turns = new Turns(() => this.#beside.settle());
    const pool = beside?.pool ?? binding.createPool(threads);
    if (!pool) {
      binding.release(weights.arena);
      throw new EspalierError("out-of-memory", `${threads} threads cannot be had; give a lower number`);
    }
    this.#pool = pool;
    try {
      this.#stack = binding.createStack(pool, stackSpec(config, weights));
    } catch (cause) {
      if (!beside) binding.release(pool);
      binding.release(weights.arena);
      throw new EspalierError(
        "bad-model",
        `the engine does not take this model: ${(cause as Error).message}`,
        { cause },
      );
    }
  }

  /** Its threads and its embedding, for stacks that go with it; they live as long as the target. */
  get pool(): Pool {
    return this.#pool;
  }
  get embedding(): Matrix {
    return this.#weights.embedding;
  }
  get output(): Matrix {
    return this.#weights.head;
  }
  /** What the last hidden state is normed with. */
  get finalNorm(): Float32Array {
    return this.#weights.finalNorm;
  }
  get vocabSize(): number {
    return this.config.vocabSize;
  }
  get hiddenSize(): number {
    return this.config.hiddenSize;
  }
  get layers(): number {
    return this.config.layers;
  }
  get contextLength(): number {
    return this.config.contextLength;
  }
  get memory(): { readonly used: number; readonly kept: number } | undefined {
    return this.binding.memoryBytes() ?? undefined;
  }
  /** The instruction set that passes use. */
  get isa(): string {
    return this.binding.currentIsa();
  }

  async createSequence({
    capacity,
    length = 0,
  }: {
    capacity: number;
    length?: number;
  }): Promise<NativeSequence> {
    if (this.#disposed) throw new Error("this model was freed");
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`capacity is ${capacity}; give an integer of at least 1`);
    }
    if (!Number.isInteger(length) || length < 0 || length > capacity) {
      throw new RangeError(`length is ${length}; give an integer from 0 to ${capacity}`);
    }
    const cache = this.binding.createCache(this.#stack, capacity, this.#fixed);
    if (!cache) throw this.outOfMemory(capacity);
    try {
      if (length > 0) await this.binding.prepareCache({ cache, length });
    } catch {
      this.binding.release(cache);
      throw this.outOfMemory(length);
    }
    return new NativeSequence(this, cache, capacity);
  }

  /** Costs little more than a pass over one tree of as many nodes; at most 64 trees. */
  async forwardAll(
    batch: readonly (OwnWant & {
      readonly sequence: NativeSequence;
      readonly tree: DraftTree;
      readonly first?: NodeIndex;
    })[],
    want: SharedWant,
  ): Promise<Pass[]> {
    let count = 0;
    for (const { tree, first = 0 } of batch) count += tree.size - first;
    if (count > this.maxNodes) {
      throw new RangeError(`a pass of ${count} nodes; the engine takes at most ${this.maxNodes}`);
    }
    for (const { sequence, tree, first = 0 } of batch) {
      sequence.checkTree(tree, first);
      sequence.dropPart();
      sequence.hold(undefined);
    }
    const rows = new Rows(this, count, want, this.spare, batch);
    for (const { sequence } of batch) sequence.hold(rows);
    await this.run({
      rows,
      length: batch.reduce((sum, { sequence }) => sum + sequence.length, 0),
      trees: batch.map(({ sequence, tree, first = 0, pick, penalties }) => {
        return {
          cache: sequence.cache,
          tokens: tree.tokens,
          parents: tree.parents,
          size: tree.size,
          first,
          pick,
          penalties,
        };
      }),
    });
    let row = 0;
    return batch.map(({ tree, first = 0 }) => {
      const pass = new NativePass(rows, row, tree.size - first);
      row += pass.size;
      return pass;
    });
  }

  #request(work: Work): PassRequest {
    const { rows, from = 0, to = this.layers, commit = false, chain } = work;
    // Every field by itself: an object that is spread and then added to takes 4 KB.
    return {
      stack: this.#stack,
      trees: work.trees,
      from,
      to,
      input: work.input,
      alone: this.#host !== undefined,
      lastOnly: chain !== undefined,
      topK: rows.k,
      tokens: rows.tokens,
      logProbs: rows.logProbs,
      picks: rows.picks,
      penalisedK: rows.penalisedK,
      penalisedTokens: rows.penalisedTokens,
      penalisedLogits: rows.penalisedLogits,
      logits: rows.logits,
      taps: rows.taps,
      hiddenOut: rows.hidden,
      abort: work.abort,
      commit,
      chain,
    };
  }

  /** Begins a pass beside the caller, where it drafts for another target and no pass of either runs or waits. Gives what waits for it, and throws what went wrong. */
  begin(work: Work): (() => void) | undefined {
    if (this.#disposed || !this.#host?.isIdle || !this.isIdle) return undefined;
    const end = this.#beside.begin(this.#request(work));
    return (
      end &&
      (() => {
        try {
          end();
        } catch (error) {
          this.#explain(error as PassFailure);
        }
      })
    );
  }

  /** Queues a pass. */
  run(work: Work): Promise<void> {
    const { rows, length, from = 0, to = this.layers, commit = false, chain } = work;
    const pass = this.#request(work);
    const passes = 1 + (chain?.levels ?? 0);
    const bytes = passes * (to - from) * (this.#layerBytes + length * this.layerTokenBytes);
    const inline = !commit && rows.count <= INLINE_NODES && bytes <= INLINE_BYTES;
    const start = (): Promise<void> | undefined => {
      if (this.#disposed) throw new Error("this model was freed");
      if (!inline) return this.binding.forward(pass);
      this.binding.forwardNow(pass);
      return this.#turns.breathe();
    };
    return this.inTurn(start).catch((error: PassFailure) =>
      this.#explain(error, commit ? length + rows.count : undefined),
    );
  }

  /** Throws the failure of a pass, with which there would be so many tokens, as a caller may understand it. */
  #explain(error: PassFailure, positions?: number): never {
    if (error.code === "no-memory") throw this.outOfMemory(positions);
    throw error.code === "invalid" ? new RangeError(`forward: ${error.message}`, { cause: error }) : error;
  }

  /** Whether no pass runs or waits. */
  get isIdle(): boolean {
    return this.#turns.isIdle;
  }

  /** Starts a pass on these threads when those before it are done, and at once when there is none. */
  inTurn<T>(start: () => T | Promise<T>): Promise<T> {
    return this.#turns.take(start);
  }

  /** Resolves when no pass runs or waits. */
  idle(): Promise<void> {
    return this.#turns.idle();
  }

  /** Throws RangeError when one of the first `count` is not in the vocabulary. */
  checkTokens(tokens: ArrayLike<TokenId>, count = tokens.length): void {
    for (let i = 0; i < count; i++) {
      const token = tokens[i]!;
      if (Number.isInteger(token) && token >= 0 && token < this.vocabSize) continue;
      throw new RangeError(`token ${token} is not in the vocabulary of ${this.vocabSize}`);
    }
  }

  /** Bytes of one token's keys and values in a layer. */
  get layerTokenBytes(): number {
    const { kvHeads, headSize } = this.config;
    return kvHeads * (this.#fixed ? 4 * headSize + 12 : 8 * headSize);
  }

  get #tokenBytes(): number {
    return this.layers * this.layerTokenBytes;
  }

  attended(length: number, layers = this.layers): number {
    return this.#windowed ? attended(this.config.windows, length, layers) : length;
  }

  /** Tokens that are copied at once from cache to cache, while passes wait. */
  get copiedTokens(): number {
    return SPAN * Math.max(1, Math.floor(COPIED / (SPAN * this.#tokenBytes)));
  }

  outOfMemory(positions?: number): EspalierError {
    if (positions === undefined) return new EspalierError("out-of-memory", "no memory for a pass");
    const megabytes = Math.ceil((positions * this.#tokenBytes) / 2 ** 20);
    return new EspalierError(
      "out-of-memory",
      `no memory for a cache of ${positions} tokens (${megabytes} MB); give a smaller context`,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#beside.settle();
    await this.idle();
    this.binding.release(this.#stack);
    if (!this.#host) this.binding.release(this.#pool);
    this.binding.release(this.#weights.arena);
  }
}
