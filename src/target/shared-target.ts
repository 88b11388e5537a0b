/** @file A target whose sequences share passes when several run at the same time; see {@link Rounds}. One that runs alone runs as ever. */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { ALONE, type Company, type PassPart } from "./company.ts";
import { type Member, Rounds } from "./rounds.ts";
import type { ChainAhead, Pass, PrefillOptions, Target, TargetSequence, Want } from "./target.ts";

export class SharedTarget implements Target {
  readonly #target: Target;
  readonly #rounds: Rounds;

  /** `onPass` is told of every shared pass: whose it was, and its milliseconds. */
  constructor(target: Target, onPass: (parts: readonly PassPart[], ms: number) => void = () => {}) {
    this.#target = target;
    this.#rounds = new Rounds(target, onPass);
  }

  get vocabSize(): number {
    return this.#target.vocabSize;
  }
  get hiddenSize(): number {
    return this.#target.hiddenSize;
  }
  get layers(): number {
    return this.#target.layers;
  }
  get contextLength(): number {
    return this.#target.contextLength;
  }
  get maxNodes(): number {
    return this.#target.maxNodes;
  }

  async createSequence(options: { capacity: number; length?: number }): Promise<SharedSequence> {
    return new SharedSequence(await this.#target.createSequence(options), this.#rounds, this.vocabSize);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#target[Symbol.asyncDispose]();
  }
}

export class SharedSequence implements TargetSequence {
  readonly #sequence: TargetSequence;
  readonly #rounds: Rounds;
  readonly #vocabSize: number;
  readonly #member: Member;
  /** Some of its nodes have run through the first layers alone. */
  #apart = false;
  readonly forwardChain?: NonNullable<TargetSequence["forwardChain"]>;
  readonly beginChain?: NonNullable<TargetSequence["beginChain"]>;
  readonly copyFrom?: (other: SharedSequence, length: number) => Promise<void>;

  constructor(sequence: TargetSequence, rounds: Rounds, vocabSize: number) {
    this.#sequence = sequence;
    this.#rounds = rounds;
    this.#vocabSize = vocabSize;
    this.#member = { sequence, state: "idle", since: 0, late: false, company: ALONE };
    if (sequence.forwardChain)
      this.forwardChain = (tree, topK, ahead, first) => this.#chain(tree, topK, ahead, first);
    if (sequence.beginChain)
      this.beginChain = (...args) => (this.crowded ? undefined : sequence.beginChain!(...args));
    if (sequence.copyFrom) this.copyFrom = (other, length) => sequence.copyFrom!(other.#sequence, length);
  }

  get length(): number {
    return this.#sequence.length;
  }
  get capacity(): number {
    return this.#sequence.capacity;
  }
  get bytes(): number {
    return this.#sequence.bytes ?? 0;
  }
  get company(): Company {
    return this.#member.company;
  }
  get crowded(): boolean {
    return this.#rounds.crowded(this.#member);
  }

  async prefill(tokens: readonly TokenId[], options: PrefillOptions = {}): Promise<void> {
    const known = (token: TokenId) => Number.isInteger(token) && token >= 0 && token < this.#vocabSize;
    const fits = this.length + tokens.length <= this.capacity && tokens.every(known);
    // What cannot be read is refused before any of it is.
    if (tokens.length === 0 || !fits || options.signal?.aborted)
      return this.#sequence.prefill(tokens, options);
    return this.#rounds.prefill(this.#member, tokens, options);
  }

  announce(): void {
    this.#rounds.announce(this.#member);
  }

  /** A text whose first layers run ahead shares no pass, and nobody waits for it. */
  forwardFirst(tree: DraftTree, layers: number, first?: NodeIndex): Promise<Float32Array> {
    this.#rounds.apart(this.#member);
    this.#apart = true;
    return this.#sequence.forwardFirst(tree, layers, first);
  }

  /** In a pass of its own. */
  async #chain(tree: DraftTree, topK: number, ahead: ChainAhead, first: NodeIndex = 0): Promise<Pass> {
    this.#rounds.apart(this.#member);
    try {
      return await this.#sequence.forwardChain!(tree, topK, ahead, first);
    } finally {
      this.#rounds.release(this.#member);
    }
  }

  async forward(tree: DraftTree, want: Want, first: NodeIndex = 0): Promise<Pass> {
    if (this.#apart) {
      this.#apart = false;
      try {
        return await this.#sequence.forward(tree, want, first);
      } finally {
        this.#rounds.release(this.#member);
      }
    }
    return this.#rounds.forward(this.#member, tree, want, first);
  }

  commit(path: readonly NodeIndex[]): void {
    this.#sequence.commit(path);
  }

  rollback(): void {
    this.#rounds.leave(this.#member);
    this.#apart = false;
    this.#sequence.rollback();
  }

  truncate(length: number): void {
    this.#rounds.leave(this.#member);
    this.#apart = false;
    this.#sequence.truncate(length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#rounds.leave(this.#member);
    await this.#sequence[Symbol.asyncDispose]();
  }
}
