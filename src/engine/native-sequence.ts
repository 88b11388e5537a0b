/** @file One text in the native engine's cache. */

import { EspalierError } from "../errors.ts";
import type { Pass, PrefillOptions, TargetSequence, Want } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { type Cache, commitStatus, type PassFailure } from "./binding.ts";
import { NativePass, Rows } from "./native-pass.ts";
import type { NativeTarget } from "./native-target.ts";

export class NativeSequence implements TargetSequence {
  readonly capacity: number;
  readonly cache: Cache;
  readonly #target: NativeTarget;
  #length = 0;
  #disposed = false;

  constructor(target: NativeTarget, cache: Cache, capacity: number) {
    this.#target = target;
    this.cache = cache;
    this.capacity = capacity;
  }

  get length(): number {
    return this.#length;
  }

  async prefill(tokens: readonly TokenId[], options: PrefillOptions = {}): Promise<void> {
    const { signal, want, onChunk } = options;
    const target = this.#target;
    this.checkRoom(tokens.length);
    target.checkTokens(tokens);
    signal?.throwIfAborted();
    const abort = new Int32Array(1);
    const onAbort = () => {
      abort[0] = 1;
    };
    signal?.addEventListener("abort", onAbort);
    try {
      for (let done = 0; done < tokens.length; ) {
        this.#checkAlive();
        const chunk = tokens.slice(done, done + target.maxNodes);
        const rows = new Rows(target, chunk.length, want ?? { topK: 0 });
        await this.#settle(
          target.run(
            {
              ...rows.outputs,
              trees: [
                {
                  cache: this.cache,
                  tokens: Int32Array.from(chunk),
                  parents: Int32Array.from(chunk, (_, i) => i - 1),
                  size: chunk.length,
                  first: 0,
                },
              ],
              abort,
              commit: true,
            },
            this.#length + chunk.length,
          ),
          signal,
        );
        this.#length += chunk.length;
        done += chunk.length;
        await onChunk?.({ pass: new NativePass(rows, 0, chunk.length), tokens: chunk, done });
        signal?.throwIfAborted();
      }
    } finally {
      signal?.removeEventListener("abort", onAbort);
    }
  }

  async forward(tree: DraftTree, want: Want, first = 0): Promise<Pass> {
    const [pass] = await this.#target.forwardAll([{ sequence: this, tree, first }], want);
    return pass!;
  }

  /** Throws EspalierError "context-overflow" when `count` more tokens do not fit, and Error when this was freed. */
  checkRoom(count: number): void {
    this.#checkAlive();
    const over = this.#length + count - this.capacity;
    if (over <= 0) return;
    throw new EspalierError(
      "context-overflow",
      `${count} tokens do not fit behind ${this.#length}: ${over} more than the cache of ${this.capacity} holds`,
    );
  }

  commit(path: readonly NodeIndex[]): void {
    this.#checkAlive();
    const status = this.#target.binding.cacheCommit(this.cache, Int32Array.from(path));
    if (status === commitStatus.ok) {
      this.#length += path.length;
      return;
    }
    if (status === commitStatus.full) this.checkRoom(path.length);
    if (status === commitStatus.noMemory) throw this.#target.outOfMemory(this.#length + path.length);
    throw new RangeError(`commit: [${path.join(", ")}] is no path of pending nodes that starts at node 0`);
  }

  rollback(): void {
    this.#checkAlive();
    this.#target.binding.cacheRollback(this.cache);
  }

  truncate(length: number): void {
    this.#checkAlive();
    if (!Number.isInteger(length) || !this.#target.binding.cacheTruncate(this.cache, length)) {
      throw new RangeError(`truncate: length is ${length}; give an integer from 0 to ${this.#length}`);
    }
    this.#length = length;
  }

  get bytes(): number {
    this.#checkAlive();
    return this.#target.binding.cacheBytes(this.cache);
  }

  async copyFrom(other: NativeSequence, length: number): Promise<void> {
    const target = this.#target;
    const status = await target.inTurn(() => {
      this.#checkAlive();
      other.#checkAlive();
      if (other.#target !== target || !Number.isInteger(length)) return commitStatus.invalid;
      return target.binding.cacheCopy(this.cache, other.cache, length);
    });
    if (status === commitStatus.noMemory) throw target.outOfMemory(length);
    if (status !== commitStatus.ok) {
      throw new RangeError(
        `copyFrom: length is ${length}; give an integer from 0 to ${Math.min(other.#length, this.capacity)}, and another sequence of this target`,
      );
    }
    this.#length = length;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    await this.#target.idle();
    this.#target.binding.release(this.cache);
  }

  #checkAlive(): void {
    if (this.#disposed) throw new Error("this sequence was freed");
  }

  /** An abort becomes the signal's own reason. */
  async #settle(done: Promise<void>, signal?: AbortSignal): Promise<void> {
    try {
      await done;
    } catch (error) {
      if ((error as PassFailure).code === "aborted") signal?.throwIfAborted();
      throw error;
    }
  }
}
