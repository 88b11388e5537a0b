/** @file Prompts that are being read, first come, first served, chunk by chunk. */

import type { TokenId } from "../types.ts";
import type { PrefillOptions, TargetSequence } from "./target.ts";

/** Tokens of a chunk are a multiple of this: the engine's products take rows in fours. */
const UNIT = 4;
/** What the latest chunk counts in what is known of their time. */
const NEWEST = 1 / 8;

interface Prompt {
  /** Tokens to come; 0 too when reading has failed. */
  left: number;
  /** Reads the next `count` tokens; never rejects. */
  readOn(count: number): Promise<void>;
}

export class PromptQueue {
  readonly #prompts: Prompt[] = [];
  /** Milliseconds and tokens of chunks, both fading. */
  #ms = 0;
  #tokens = 0;

  get length(): number {
    return this.#prompts.length;
  }

  /** Resolves when `tokens` are read, by calls of {@link read}. An abort that comes before the first chunk takes them out at once. */
  add(sequence: TargetSequence, tokens: readonly TokenId[], options: PrefillOptions): Promise<void> {
    const { signal, onChunk } = options;
    return new Promise((resolve, reject) => {
      let reading = false;
      const end = (settle: () => void) => {
        prompt.left = 0;
        signal?.removeEventListener("abort", onAbort);
        settle();
      };
      const prompt: Prompt = {
        left: tokens.length,
        async readOn(count) {
          const done = tokens.length - prompt.left;
          reading = true;
          try {
            await sequence.prefill(tokens.slice(done, done + count), {
              ...options,
              ...(onChunk && { onChunk: (chunk) => onChunk({ ...chunk, done: done + chunk.done }) }),
            });
            reading = false;
            prompt.left -= count;
            if (prompt.left === 0) end(resolve);
          } catch (error) {
            end(() => reject(error));
          }
        },
      };
      const onAbort = () => {
        // A chunk that is being read ends by itself.
        if (reading) return;
        this.#drop(prompt);
        end(() => reject(signal!.reason));
      };
      signal?.addEventListener("abort", onAbort);
      this.#prompts.push(prompt);
    });
  }

  /** Reads on in the first prompt, if there is one: at most `most` tokens, and what `ms` milliseconds are enough for, as far as is known. */
  async read(most: number, ms: number): Promise<void> {
    const prompt = this.#prompts[0];
    if (prompt === undefined) return;
    const count = Math.min(prompt.left, most, this.#fitting(ms));
    const left = prompt.left - count;
    const start = performance.now();
    await prompt.readOn(count);
    if (prompt.left === left) {
      this.#ms += performance.now() - start - this.#ms * NEWEST;
      this.#tokens += count - this.#tokens * NEWEST;
    }
    if (prompt.left === 0) this.#drop(prompt);
  }

  #fitting(ms: number): number {
    if (ms === Number.POSITIVE_INFINITY) return ms;
    const tokens = this.#ms > 0 ? (ms * this.#tokens) / this.#ms : 0;
    return UNIT * Math.max(1, Math.floor(tokens / UNIT));
  }

  #drop(prompt: Prompt): void {
    const at = this.#prompts.indexOf(prompt);
    if (at >= 0) this.#prompts.splice(at, 1);
  }
}
