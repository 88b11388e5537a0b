/**
 * @file Caches of texts that are over, for prompts that begin as they did: a turn of a conversation, or a common instruction. A prompt's
 * cache starts as a copy of the longest beginning that is held anywhere, which takes a small part of the time of reading it and has the same
 * bits. What was not asked for the longest is freed when memory is full.
 */

import type { TargetSequence } from "../target/target.ts";
import type { TokenId } from "../types.ts";
import { PrefixTree } from "./prefix-tree.ts";

/** Shorter beginnings are read. */
const LEAST = 16;

/** A text whose cache others may copy from. */
export interface Prefix {
  readonly tokens: readonly TokenId[];
  readonly sequence: TargetSequence;
  /** Of a text that is over: what its cache takes. */
  readonly bytes?: number;
}

export class PrefixStore implements AsyncDisposable {
  readonly #most: number;
  readonly #tree = new PrefixTree<Prefix>();
  /** Those that are over, the one whose last use is longest ago first. */
  readonly #kept = new Set<Prefix>();
  #bytes = 0;
  #disposed = false;

  /** `most`: bytes that the caches of past texts may take together. */
  constructor(most: number) {
    this.#most = most;
  }

  /** Bytes that past texts take. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Past texts that are held. */
  get size(): number {
    return this.#kept.size;
  }

  /** Copies into an empty `sequence` what is held of `prompt`, its last token left out; gives how many tokens these are. */
  async fill(sequence: TargetSequence, prompt: readonly TokenId[]): Promise<number> {
    let source: Prefix | undefined;
    let length = LEAST - 1;
    for (const { value, shared } of this.#tree.nearest(prompt)) {
      if (shared <= length) break;
      // A text that runs may not have been read that far.
      const usable = Math.min(shared, value.sequence.length, prompt.length - 1);
      if (usable > length) [source, length] = [value, usable];
    }
    if (source === undefined) return 0;
    if (this.#kept.delete(source)) this.#kept.add(source);
    try {
      await sequence.copyFrom?.(source.sequence, length);
    } catch {
      // The other one has just been freed, or memory is short: the prompt is read.
    }
    return sequence.length;
  }

  /** A text begins, of which others may use what has been read; until {@link keep}. */
  begin(tokens: readonly TokenId[], sequence: TargetSequence): Prefix {
    const running: Prefix = { tokens, sequence };
    this.#tree.insert(tokens, running);
    return running;
  }

  /** The text is over, and its sequence, which holds `tokens`, the store's: to hold it or to free it. */
  async keep(running: Prefix, tokens: readonly TokenId[]): Promise<void> {
    const { sequence } = running;
    this.#tree.remove(running.tokens, running);
    const bytes = sequence.bytes ?? 0;
    const covered = this.#past(tokens).find(({ shared }) => shared === tokens.length)?.value;
    if (covered !== undefined && this.#kept.delete(covered)) this.#kept.add(covered);
    const useful = sequence.copyFrom !== undefined && tokens.length >= LEAST && covered === undefined;
    if (this.#disposed || !useful || bytes > this.#most) return sequence[Symbol.asyncDispose]();
    const replaced = this.#past(tokens).filter(({ value, shared }) => shared === value.tokens.length);
    const kept: Prefix = { tokens, sequence, bytes };
    this.#tree.insert(tokens, kept);
    this.#kept.add(kept);
    this.#bytes += bytes;
    for (const { value } of replaced) await this.#free(value);
    for (const oldest of this.#kept) {
      if (this.#bytes <= this.#most) break;
      await this.#free(oldest);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
    for (const prefix of this.#kept) await this.#free(prefix);
  }

  #past(tokens: readonly TokenId[]) {
    return [...this.#tree.nearest(tokens)].filter(({ value }) => this.#kept.has(value));
  }

  async #free(prefix: Prefix): Promise<void> {
    if (!this.#kept.delete(prefix)) return;
    this.#tree.remove(prefix.tokens, prefix);
    this.#bytes -= prefix.bytes!;
    await prefix.sequence[Symbol.asyncDispose]();
  }
}
