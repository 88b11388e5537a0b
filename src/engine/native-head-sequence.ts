/** @file One text in a native draft head's cache: its rows, the passes over them, and the target's tokens in place of the head's rows. */

import type { HeadPass, HeadPassAside, HeadSequence } from "../target/draft-head.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { type Cache, commitStatus, type PassFailure, type PassRequest } from "./binding.ts";
import type { NativeHead } from "./native-head.ts";
import { RowMemory } from "./native-pass.ts";
import { TextTokens } from "./text-tokens.ts";

/** The output of the head's one layer. */
const STATE = Int32Array.of(1);

type HeadRequest = Parameters<HeadSequence["forward"]>[0];

/** Where a pass puts what it finds, and the tokens of its rows behind the head's own. */
interface HeadRows extends HeadPass {
  readonly others: Int32Array | undefined;
}

/** See {@link HeadSequence}. Passes are made when the target's have been, or aside. */
export class NativeHeadSequence implements HeadSequence {
  readonly capacity: number;
  readonly #head: NativeHead;
  readonly #cache: Cache;
  readonly #tokens: TextTokens;
  /** Of the rows of its newest pass. */
  readonly #memory: RowMemory;
  #length = 0;
  /** What runs aside, or has and was not asked for. */
  #aside: HeadPassAside | undefined;
  #disposed = false;

  constructor(head: NativeHead, cache: Cache, capacity: number) {
    this.#head = head;
    this.#cache = cache;
    this.#memory = new RowMemory(head.spare);
    this.#tokens = new TextTokens(head.config.draftVocab, head.target.vocabSize);
    this.capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  async read(tokens: Int32Array, features: Float32Array, signal?: AbortSignal): Promise<void> {
    const { target, binding, featureSize, maxNodes } = this.#head;
    for (let done = 0; done < tokens.length; ) {
      this.#checkAlive();
      signal?.throwIfAborted();
      const size = Math.min(maxNodes, tokens.length - done);
      const request: PassRequest = {
        stack: this.#head.stack,
        from: 0,
        to: 1,
        topK: 0,
        trees: [
          {
            cache: this.#cache,
            tokens: tokens.slice(done, done + size),
            parents: Int32Array.from({ length: size }, (_, i) => i - 1),
            size,
            first: 0,
          },
        ],
        input: features.subarray(done * featureSize, (done + size) * featureSize),
        fuse: this.#fuses,
        lastOnly: false,
        commit: true,
      };
      this.#head.settle();
      await target.inTurn(() => binding.forward(request)).catch(this.#explain(size));
      if (this.#textRows) this.#tokens.add(tokens.subarray(done, done + size), this.#length);
      this.#length += size;
      done += size;
    }
  }

  async forward(request: HeadRequest): Promise<HeadPass> {
    const { target, binding } = this.#head;
    const rows = this.#rowsOf(request);
    const pass = this.#passOf(request, rows);
    this.#head.settle();
    await target
      .inTurn(() => binding.forwardNow(pass))
      .catch(this.#explain(request.tree.size - request.first));
    return this.#finish(rows);
  }

  begin(request: HeadRequest): HeadPassAside | undefined {
    const rows = this.#rowsOf(request);
    const end = this.#head.begin(this.#passOf(request, rows));
    if (!end) return undefined;
    const aside = {
      end: () => {
        this.#aside = undefined;
        try {
          end();
        } catch (error) {
          this.#explain(request.tree.size - request.first)(error as PassFailure);
        }
        return this.#finish(rows);
      },
    };
    this.#aside = aside;
    return aside;
  }

  #rowsOf({ tree, first, topK, lastOnly = false, from }: HeadRequest): HeadRows {
    this.#checkAlive();
    const { config, hiddenSize, maxNodes } = this.#head;
    if (tree.size > maxNodes)
      throw new RangeError(`a draft of ${tree.size} nodes; a head takes at most ${maxNodes}`);
    const size = lastOnly ? 1 : tree.size - first;
    const k = Math.min(topK, config.draftVocab.length);
    if (this.#textRows && from === "target")
      this.#tokens.add(tree.tokens.subarray(first, tree.size), this.#length + first);
    this.#memory.free();
    return {
      size,
      k,
      tokens: this.#memory.ints(size * k),
      logProbs: this.#memory.floats(size * k),
      states: this.#memory.floats(size * hiddenSize),
      others: this.#textRows ? this.#tokens.list : undefined,
    };
  }

  #passOf(request: HeadRequest, { k, tokens, logProbs, states, others }: HeadRows): PassRequest {
    const { tree, first, input, from, noise, lastOnly = false } = request;
    const pick = noise && {
      seed: noise.seed,
      scale: 1 / noise.temperature,
      reach: Number.POSITIVE_INFINITY,
      ahead: noise.ahead,
    };
    // Every field by itself: an object that is spread and then added to takes 4 KB.
    return {
      stack: this.#head.stack,
      from: 0,
      to: 1,
      topK: k,
      trees: [
        { cache: this.#cache, tokens: tree.tokens, parents: tree.parents, size: tree.size, first, pick },
      ],
      ids: noise && this.#head.config.draftVocab,
      input,
      fuse: from === "target" && this.#fuses,
      tokens,
      logProbs,
      taps: STATE,
      hiddenOut: states,
      lastOnly,
      more: others,
      commit: false,
    };
  }

  /** The target's tokens in place of rows. */
  #finish({ size, k, tokens, logProbs, states, others }: HeadRows): HeadPass {
    const own = this.#head.config.draftVocab;
    for (let i = 0; i < tokens.length; i++) {
      const row = tokens[i]!;
      tokens[i] = row < own.length ? own[row]! : others![row - own.length]!;
    }
    return { size, k, tokens, logProbs, states };
  }

  names(token: TokenId): boolean {
    return this.#tokens.has(token);
  }

  commit(path: readonly NodeIndex[]): void {
    this.#checkAlive();
    const status = this.#head.binding.cacheCommit(this.#cache, new Int32Array(path));
    if (status === commitStatus.noMemory) throw this.#head.outOfMemory(this.#length + path.length);
    if (status !== commitStatus.ok)
      throw new RangeError(`commit: [${path.join(", ")}] is no path of pending nodes, or does not fit`);
    this.#length += path.length;
  }

  rollback(): void {
    this.#checkAlive();
    this.#memory.free();
    this.#head.binding.cacheRollback(this.#cache);
    this.#tokens.truncate(this.#length);
  }

  truncate(length: number): void {
    this.#checkAlive();
    if (!Number.isInteger(length) || !this.#head.binding.cacheTruncate(this.#cache, length)) {
      throw new RangeError(`truncate: length is ${length}; give an integer from 0 to ${this.#length}`);
    }
    this.#length = length;
    this.#tokens.truncate(length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#aside?.end();
    this.#disposed = true;
    await this.#head.target.idle();
    this.#memory.free();
    this.#head.binding.release(this.#cache);
  }

  get #textRows(): boolean {
    return this.#head.config.textRows ?? false;
  }

  get #fuses(): boolean {
    return this.#head.config.fuses ?? false;
  }

  /** Throws the failure of a pass of `rows` rows as a caller may understand it. */
  #explain(rows: number): (error: PassFailure) => never {
    return (error) => {
      if (error.code === "no-memory") throw this.#head.outOfMemory(this.#length + rows);
      throw error.code === "invalid" || error.code === "full"
        ? new RangeError(`draft head: ${error.message}`, { cause: error })
        : error;
    };
  }

  #checkAlive(): void {
    if (this.#disposed) throw new Error("this sequence was freed");
    if (this.#aside) throw new Error("internal: a pass of this sequence runs aside");
  }
}
