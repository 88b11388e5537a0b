/**
 * @file A draft head and an exit block for the toy target, for tests of who drafts with one. It checks what it is given: that features are the target's, of
 * the right layers and positions, each behind the one of the row before, and that drafted rows come with their parents' states. Made of
 * the target itself, if that looks one token back, it is always right.
 */

import type { DraftHead, HeadPass, HeadPassAside, HeadSequence } from "../src/target/draft-head.ts";
import type { ExitBlock } from "../src/target/exit-block.ts";
import { hashOf, type ToyTarget, toyState } from "../src/target/toy.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../src/types.ts";

/** In a state, where features have the layer's number. */
const STATE = -1;

export class ToyHead implements DraftHead {
  readonly name: string = "toy head";
  readonly taps: readonly number[];
  readonly hiddenSize: number;
  readonly featureSize: number;
  readonly draftVocab: Int32Array;
  readonly maxNodes: number;
  readonly target: ToyTarget;
  /** Sequences that are not freed. */
  alive = 0;

  /** It guesses what `target` says, but for the tokens below `hidden`. */
  constructor(
    target: ToyTarget,
    options: { readonly maxNodes?: number; readonly hidden?: number } = {},
    taps = [0, 2],
  ) {
    const { maxNodes = 64, hidden = 0 } = options;
    this.taps = taps;
    this.target = target;
    this.hiddenSize = target.hiddenSize;
    this.featureSize = taps.length * target.hiddenSize;
    this.draftVocab = Int32Array.from({ length: target.vocabSize - hidden }, (_, i) => i + hidden);
    this.maxNodes = maxNodes;
  }

  /** What is in the cache of a row with such a feature, behind the row `before`. */
  row(feature: number, token: TokenId, before: Row | undefined): Row {
    need(
      before === undefined || before.hash === feature,
      "a feature is the position's behind the row before",
    );
    return { before: feature, hash: hashOf(feature, token) };
  }

  createSequence({ capacity }: { readonly capacity: number }): HeadSequence {
    this.alive++;
    return new ToyHeadSequence(this, capacity);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.alive > 0) throw new Error(`${this.alive} sequences were not freed`);
  }
}

/** Its features are the states of their rows' own positions. */
export class ToyExit extends ToyHead implements ExitBlock {
  override readonly name = "toy exit block";
  readonly exitLayer = 1;

  constructor(target: ToyTarget, options: { readonly maxNodes?: number; readonly hidden?: number } = {}) {
    super(target, options, [1]);
  }

  override row(feature: number, token: TokenId, row: Row | undefined): Row {
    const before = row?.hash ?? 0;
    need(
      hashOf(before, token) === feature,
      "a feature is that of its row's own token, behind the row before",
    );
    return { before, hash: feature };
  }
}

/** What is in the cache of a row: the text up to its token, and with it. */
interface Row {
  readonly before: number;
  readonly hash: number;
}

type HeadRequest = Parameters<HeadSequence["forward"]>[0];

class ToyHeadSequence implements HeadSequence {
  readonly capacity: number;
  readonly #head: ToyHead;
  readonly #rows: Row[] = [];
  #pending: Row[] = [];
  #tree = new DraftTree(0, 1);
  #busy = false;

  constructor(head: ToyHead, capacity: number) {
    this.#head = head;
    this.capacity = capacity;
  }

  get length(): number {
    return this.#rows.length;
  }

  async read(tokens: Int32Array, features: Float32Array, signal?: AbortSignal): Promise<void> {
    await this.#alone(async () => {
      const size = this.#head.featureSize;
      need(features.length === tokens.length * size, "a feature for each token");
      need(this.length + tokens.length <= this.capacity, "rows fit");
      for (const [i, token] of tokens.entries()) {
        signal?.throwIfAborted();
        this.#rows.push(this.#committed(features.subarray(i * size), token, this.#rows.at(-1)));
      }
    });
  }

  forward(request: HeadRequest): Promise<HeadPass> {
    return this.#alone(() => this.#forward(request));
  }

  begin(request: HeadRequest): HeadPassAside {
    need(!this.#busy, "calls do not overlap");
    this.#busy = true;
    // What it is given must stay as it is.
    const { tree, input } = request;
    const before = [...tree.tokens.subarray(0, tree.size), ...input];
    return {
      end: () => {
        need(this.#busy, "what runs aside is ended once");
        this.#busy = false;
        need(
          [...tree.tokens.subarray(0, tree.size), ...input].join() === before.join(),
          "nothing of it has changed",
        );
        return this.#forward(request);
      },
    };
  }

  #forward({ tree, first, input, from, topK, lastOnly = false }: HeadRequest): HeadPass {
    need(first < tree.size && first <= this.#pending.length, "earlier nodes are pending");
    need(tree.size <= this.#head.maxNodes, "nodes fit into a pass");
    this.#pending.length = first;
    this.#tree = tree;
    for (let node = first; node < tree.size; node++) {
      need(this.length + tree.depths[node]! < this.capacity, "rows fit");
      const parent = this.#pending[tree.parents[node]!] ?? this.#rows.at(-1);
      const token = tree.tokens[node]!;
      this.#pending.push(
        from === "target"
          ? this.#committed(input.subarray((node - first) * this.#head.featureSize), token, parent)
          : this.#drafted(input.subarray((node - first) * this.#head.hiddenSize), token, parent),
      );
    }
    return this.#guess(this.#pending.slice(first), tree.tokens.subarray(first, tree.size), topK, lastOnly);
  }

  names(token: TokenId): boolean {
    return this.#head.draftVocab.includes(token);
  }

  commit(path: readonly NodeIndex[]): void {
    need(!this.#busy, "calls do not overlap");
    for (const [i, node] of path.entries()) {
      need(
        node < this.#pending.length && (path[i - 1] ?? -1) === this.#tree.parents[node],
        "a path is committed",
      );
      this.#rows.push(this.#pending[node]!);
    }
    this.rollback();
  }

  rollback(): void {
    need(!this.#busy, "calls do not overlap");
    this.#pending = [];
  }

  truncate(length: number): void {
    need(length >= 0 && length <= this.length, "rows to cut are there");
    this.#rows.length = length;
    this.rollback();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    need(!this.#busy, "what runs aside is ended first");
    this.#head.alive--;
  }

  #committed(feature: Float32Array, token: TokenId, before: Row | undefined): Row {
    const { hiddenSize, taps } = this.#head;
    const hash = hashIn(feature);
    for (const [i, tap] of taps.entries()) {
      const part = feature.subarray(i * hiddenSize, (i + 1) * hiddenSize);
      need(
        part.join() === toyState(hash, tap).join(),
        `part ${i} of a feature is the state after layer ${tap}`,
      );
    }
    return this.#head.row(hash, token, before);
  }

  #drafted(state: Float32Array, token: TokenId, parent: Row | undefined): Row {
    need(
      parent !== undefined && state[2] === STATE && hashIn(state) === parent.hash,
      "a node has its parent's state",
    );
    return { before: parent!.hash, hash: hashOf(parent!.hash, token) };
  }

  #guess(rows: readonly Row[], tokens: Int32Array, topK: number, lastOnly: boolean): HeadPass {
    const { target, draftVocab, hiddenSize } = this.#head;
    const asked = [...rows.entries()].slice(lastOnly ? -1 : 0);
    const states = new Float32Array(asked.length * hiddenSize);
    for (const [at, [, { hash }]] of asked.entries()) states.set(toyState(hash, STATE), at * hiddenSize);
    const k = Math.min(topK, draftVocab.length);
    const pass = {
      size: asked.length,
      k,
      tokens: new Int32Array(asked.length * k),
      logProbs: new Float32Array(asked.length * k),
      states,
    };
    for (const [at, [i, { hash }]] of asked.entries()) {
      const logits = new Float32Array(target.vocabSize);
      target.fillLogits([tokens[i]!], hash, logits);
      const best = [...draftVocab].sort((a, b) => logits[b]! - logits[a]! || a - b);
      const sum = best.reduce((total, token) => total + Math.exp(logits[token]!), 0);
      for (let rank = 0; rank < k; rank++) {
        pass.tokens[at * k + rank] = best[rank]!;
        pass.logProbs[at * k + rank] = logits[best[rank]!]! - Math.log(sum);
      }
    }
    return pass;
  }

  async #alone<T>(work: () => T | Promise<T>): Promise<T> {
    need(!this.#busy, "calls do not overlap");
    this.#busy = true;
    try {
      await new Promise((resolve) => setImmediate(resolve));
      return await work();
    } finally {
      this.#busy = false;
    }
  }
}

function hashIn(state: Float32Array): number {
  return ((state[0]! << 16) | state[1]!) >>> 0;
}

function need(fact: boolean, what: string): void {
  if (!fact) throw new Error(`toy head: it does not hold that ${what}`);
}
