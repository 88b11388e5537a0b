/** @file What a conversation keeps from one generation to the next: the target's cache, and drafters that know its text. */

import type { Drafter } from "../draft/drafter.ts";
import type { Composition, Method } from "../methods/method.ts";
import type { History } from "../sampling/history.ts";
import type { TargetSequence } from "../target/target.ts";
import type { TokenId } from "../types.ts";

export class Cache implements AsyncDisposable {
  readonly sequence: TargetSequence;
  /** The tokens in `sequence`. */
  #tokens: readonly TokenId[] = [];
  readonly #compositions = new Map<Method, Composition>();

  constructor(sequence: TargetSequence) {
    this.sequence = sequence;
  }

  /** Tokens in the cache. */
  get length(): number {
    return this.#tokens.length;
  }
  get tokens(): readonly TokenId[] {
    return this.#tokens;
  }

  /** Takes note of what was copied into `sequence`. */
  adopt(tokens: readonly TokenId[]): void {
    this.#tokens = tokens;
  }

  /**
   * Cuts to what is shared with `prompt`, whose last token stays outside: it is the first root; and to what `drafters` need not see
   * again. Gives the tokens kept.
   */
  reuse(prompt: readonly TokenId[], drafters: readonly Drafter[]): number {
    const limit = Math.min(this.#tokens.length, prompt.length - 1);
    let same = 0;
    while (same < limit && this.#tokens[same] === prompt[same]) same++;
    for (const drafter of drafters) same = Math.min(same, drafter.resume?.(prompt, same) ?? same);
    if (same < this.sequence.length) this.sequence.truncate(same);
    return same;
  }

  /** Notes what is there after a generation, and drops what is not part of its text. */
  settle(history: History): void {
    this.sequence.rollback();
    if (this.sequence.length > history.length) this.sequence.truncate(history.length);
    this.#tokens = history.tokens.slice(0, this.sequence.length);
  }

  /** The parts of `method` that know this conversation's text. */
  composition(method: Method): Composition {
    let composition = this.#compositions.get(method);
    if (composition === undefined) {
      composition = method.compose(this.sequence);
      this.#compositions.set(method, composition);
    }
    return composition;
  }

  /** Frees what drafters hold. */
  async freeDrafters(): Promise<void> {
    for (const { drafters } of this.#compositions.values()) {
      for (const drafter of drafters) await drafter[Symbol.asyncDispose]?.();
    }
  }

  /** Frees the sequence too. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.freeDrafters();
    await this.sequence[Symbol.asyncDispose]();
  }
}
