/**
 * @file A target without weights, for tests: logits are hashed from the last few tokens and, weakly, from the whole
 * prefix, so one wrong row in the cache shows in everything that follows. Rows of a pass are overwritten with rubbish
 * when the next pass starts, so that nobody gets used to keeping them.
 */

import { EspalierError } from "../errors.ts";
import { gumbel, positionKey } from "../random.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { penalise } from "./penalties.ts";
import { pickToken } from "./pick.ts";
import type {
  Pass,
  Penalised,
  PrefillOptions,
  SequenceTree,
  SharedWant,
  Target,
  TargetSequence,
  Want,
} from "./target.ts";

export interface ToyOptions {
  /** Default 48. */
  readonly vocabSize?: number;
  /** Tokens of context that shape the next one, >= 1; the nearest weighs most. 1 suits Token Recycling best. Default 3. */
  readonly order?: number;
  /** Scale of the logits: 0 is uniform, 4 is as sure as a real model. Default 4. */
  readonly sharpness?: number;
  /** Weight of the whole prefix's hash against that of the last token, 1. Default 0.25. */
  readonly longRange?: number;
  /** When given, logits are rounded to multiples of 1 / levels, which makes ties common. */
  readonly levels?: number;
  /** Default 512. */
  readonly contextLength?: number;
  /** Default 128. */
  readonly maxNodes?: number;
  /** Tokens of a prefill chunk. Default 16. */
  readonly chunk?: number;
  readonly seed?: number;
}

const HIDDEN = 4;

/** A deterministic stand-in for a language model; two with the same options give the same bits. */
export class ToyTarget implements Target {
  readonly vocabSize: number;
  readonly hiddenSize = HIDDEN;
  readonly layers = 2;
  readonly contextLength: number;
  readonly maxNodes: number;
  readonly chunk: number;
  readonly order: number;
  readonly #sharpness: number;
  readonly #longRange: number;
  readonly #levels: number | undefined;
  readonly #seed: number;

  constructor(options: ToyOptions = {}) {
    this.vocabSize = options.vocabSize ?? 48;
    this.contextLength = options.contextLength ?? 512;
    this.maxNodes = options.maxNodes ?? 128;
    this.chunk = options.chunk ?? 16;
    this.order = options.order ?? 3;
    this.#sharpness = options.sharpness ?? 4;
    this.#longRange = options.longRange ?? 0.25;
    this.#levels = options.levels;
    this.#seed = options.seed ?? 0;
  }

  async createSequence(options: { capacity: number }): Promise<TargetSequence> {
    if (!Number.isInteger(options.capacity) || options.capacity < 1) {
      throw new RangeError(`createSequence: capacity is ${options.capacity}; give an integer of at least 1`);
    }
    return new ToySequence(this, options.capacity);
  }

  async forwardAll(batch: readonly SequenceTree[], want: SharedWant): Promise<Pass[]> {
    const nodes = batch.reduce((sum, { tree, first = 0 }) => sum + tree.size - first, 0);
    if (nodes > this.maxNodes)
      throw new RangeError(`a pass of ${nodes} nodes; give at most ${this.maxNodes}`);
    for (const { sequence, tree, first = 0 } of batch) (sequence as ToySequence).check(tree, first);
    return Promise.all(
      batch.map(({ sequence, tree, first, pick, penalties }) =>
        sequence.forward(tree, { ...want, pick, penalties }, first),
      ),
    );
  }

  /** The logits after `context` (newest token first, at most `order` of them count) and a prefix of hash `prefix`. */
  fillLogits(context: readonly TokenId[], prefix: number, logits: Float32Array): void {
    logits.fill(0);
    let hash = this.#seed;
    for (let back = 0; back <= this.order; back++) {
      const last = back === this.order;
      const weight = last ? this.#longRange : 0.6 ** back;
      hash = last ? prefix : hashOf(hash, context[back] ?? -1);
      const key = positionKey(this.#seed, hash);
      for (let token = 0; token < logits.length; token++) {
        logits[token] = logits[token]! + this.#sharpness * weight * gumbel(key, token);
      }
    }
    const levels = this.#levels;
    if (levels !== undefined) {
      for (let token = 0; token < logits.length; token++)
        logits[token] = Math.round(logits[token]! * levels) / levels;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

/** The hash of a text whose last token is `token`, behind one of hash `hash`; 0 is the empty text's. */
export function hashOf(hash: number, token: TokenId): number {
  return positionKey(hash, token + 1);
}

/** The hidden state after layer `tap` of the last token of a text: it tells the text's hash, in halves that a float holds. */
export function toyState(hash: number, tap: number): Float32Array {
  return Float32Array.of(hash >>> 16, hash & 0xffff, tap, gumbel(positionKey(hash, tap), 0));
}

class ToySequence implements TargetSequence {
  readonly capacity: number;
  readonly #target: ToyTarget;
  readonly #tokens: TokenId[] = [];
  /** Hash of the text up to and with each committed token. */
  readonly #hashes: number[] = [];
  #pending: DraftTree | undefined;
  #pendingSize = 0;
  /** What has run through the first layers, for as long as nothing else happens. */
  #firstTree: DraftTree | undefined;
  #firstSize = 0;
  #pass: ToyPass | undefined;
  #busy = false;
  #disposed = false;

  constructor(target: ToyTarget, capacity: number) {
    this.#target = target;
    this.capacity = capacity;
  }

  get length(): number {
    return this.#tokens.length;
  }

  async prefill(tokens: readonly TokenId[], options: PrefillOptions = {}): Promise<void> {
    const { signal, want, onChunk } = options;
    this.#check(tokens);
    this.#needRoom(tokens.length);
    await this.#exclusive(async () => {
      for (let done = 0; done < tokens.length; ) {
        signal?.throwIfAborted();
        const chunk = tokens.slice(done, done + this.#target.chunk);
        const contexts = chunk.map((_, i) => this.#context(chunk.slice(0, i + 1).reverse()));
        let hash = this.#hashes.at(-1) ?? 0;
        const hashes = chunk.map((token) => (hash = hashOf(hash, token)));
        // A macrotask, as an engine's worker would take, so that timers and aborts come between chunks.
        await new Promise((resolve) => setImmediate(resolve));
        signal?.throwIfAborted();
        this.#tokens.push(...chunk);
        this.#hashes.push(...hashes);
        done += chunk.length;
        const lengths = chunk.map((_, i) => this.length - chunk.length + i + 1);
        const pass = this.#rows(contexts, hashes, lengths, [], want ?? { topK: 0 });
        await onChunk?.({ pass, tokens: chunk, done });
      }
    });
  }

  async forward(tree: DraftTree, want: Want, first = 0): Promise<Pass> {
    this.check(tree, first);
    if (first > 0) this.#pending = undefined;
    return this.#exclusive(async () => {
      const contexts: TokenId[][] = [];
      const hashes: number[] = [];
      const lengths = Array.from(tree.depths.subarray(0, tree.size), (depth) => this.length + depth + 1);
      for (let node = 0; node < tree.size; node++) {
        const path = tree.path(node);
        contexts.push(this.#context(path.map((at) => tree.tokens[at]!).reverse()));
        const before = node === 0 ? (this.#hashes.at(-1) ?? 0) : hashes[tree.parents[node]!]!;
        hashes.push(hashOf(before, tree.tokens[node]!));
      }
      await Promise.resolve();
      this.#pending = tree;
      this.#pendingSize = tree.size;
      const behind = Array.from(lengths, (_, node) => tree.path(node).slice(1));
      const paths = behind.map((path) => path.map((at) => tree.tokens[at]!));
      return this.#rows(
        contexts.slice(first),
        hashes.slice(first),
        lengths.slice(first),
        paths.slice(first),
        want,
      );
    });
  }

  async forwardFirst(tree: DraftTree, layers: number, first = 0): Promise<Float32Array> {
    if (!(layers >= 1 && layers < this.#target.layers))
      throw new RangeError(`forwardFirst: no ${layers} first layers`);
    this.check(tree, 0);
    if (first >= tree.size || (first > 0 && !(this.#firstTree === tree && first === this.#firstSize)))
      throw new RangeError(
        `forwardFirst: nodes before ${first} are not pending, or there is none after them`,
      );
    return this.#exclusive(async () => {
      const states = new Float32Array((tree.size - first) * HIDDEN);
      for (let node = first; node < tree.size; node++) {
        const path = tree.path(node).map((at) => tree.tokens[at]!);
        states.set(toyState(path.reduce(hashOf, this.#hashes.at(-1) ?? 0), layers), (node - first) * HIDDEN);
      }
      await Promise.resolve();
      this.#firstTree = tree;
      this.#firstSize = tree.size;
      return states;
    });
  }

  commit(path: readonly NodeIndex[]): void {
    const tree = this.#pending;
    if (tree === undefined) throw new Error("internal: commit without a pending pass");
    if (path[0] !== 0)
      throw new RangeError(`commit: the path starts with ${path[0]}; it must start with node 0`);
    for (let i = 1; i < path.length; i++) {
      if (tree.parents[path[i]!] !== path[i - 1]) {
        throw new RangeError(`commit: node ${path[i]} is not a child of node ${path[i - 1]}`);
      }
    }
    for (const node of path) {
      const token = tree.tokens[node]!;
      this.#hashes.push(hashOf(this.#hashes.at(-1) ?? 0, token));
      this.#tokens.push(token);
    }
    this.#pending = undefined;
  }

  rollback(): void {
    this.#pending = undefined;
    this.#firstTree = undefined;
  }

  truncate(length: number): void {
    if (!Number.isInteger(length) || length < 0 || length > this.length) {
      throw new RangeError(`truncate: length is ${length}; the sequence holds ${this.length} tokens`);
    }
    this.rollback();
    this.#tokens.length = length;
    this.#hashes.length = length;
  }

  get bytes(): number {
    return 64 * (1 + this.length);
  }

  async copyFrom(other: ToySequence, length: number): Promise<void> {
    if (other === this || other.#target !== this.#target || !(length >= 0 && length <= other.length)) {
      throw new RangeError(`copyFrom: length is ${length}; the other sequence holds ${other.length} tokens`);
    }
    if (length > this.capacity) throw new RangeError(`copyFrom: ${length} tokens do not fit`);
    if (this.#disposed || other.#disposed) throw new Error("internal: the sequence was disposed");
    this.truncate(0);
    this.#tokens.push(...other.#tokens.slice(0, length));
    this.#hashes.push(...other.#hashes.slice(0, length));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#disposed = true;
  }

  /** The newest tokens, newest first: `newest` and then the cache's. */
  #context(newest: readonly TokenId[]): TokenId[] {
    return [...newest, ...this.#tokens.slice(-this.#target.order).reverse()];
  }

  /** `lengths`: of the text up to and with each row's token; `paths`: what of it lies behind the tree's root. */
  #rows(
    contexts: readonly TokenId[][],
    prefixes: readonly number[],
    lengths: readonly number[],
    paths: readonly TokenId[][],
    want: Want,
  ): ToyPass {
    this.#pass?.spoil();
    this.#pass = new ToyPass(this.#target, contexts, prefixes, lengths, paths, want);
    return this.#pass;
  }

  async #exclusive<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) throw new Error("internal: two calls to one sequence overlap");
    if (this.#disposed) throw new Error("internal: the sequence was disposed");
    if (this.#pending !== undefined)
      throw new Error("internal: a pass is pending; commit or roll it back first");
    this.#busy = true;
    this.#firstTree = undefined;
    try {
      return await work();
    } finally {
      this.#busy = false;
    }
  }

  /** Throws when `tree` cannot go through a pass. */
  check(tree: DraftTree, first: NodeIndex): void {
    if (tree.size > this.#target.maxNodes) {
      throw new RangeError(
        `forward: the tree has ${tree.size} nodes, a pass at most ${this.#target.maxNodes}`,
      );
    }
    this.#check(tree.tokens.subarray(0, tree.size));
    this.#needRoom(1 + Math.max(...tree.depths.subarray(0, tree.size)));
    if (first > 0 && !(this.#pending === tree && first <= this.#pendingSize && first < tree.size)) {
      throw new RangeError(`forward: nodes before ${first} are not pending, or there is none after them`);
    }
  }

  #check(tokens: ArrayLike<TokenId>): void {
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      if (!Number.isInteger(token) || token < 0 || token >= this.#target.vocabSize) {
        throw new RangeError(`token ${token} is not in the vocabulary of ${this.#target.vocabSize}`);
      }
    }
  }

  #needRoom(count: number): void {
    const over = this.length + count - this.capacity;
    if (over > 0) {
      throw new EspalierError(
        "context-overflow",
        `the cache holds ${this.capacity} tokens, ${this.length} are in use, and ${count} more are ${over} too many`,
      );
    }
  }
}

/** All tokens, best first. */
function orderOf(logits: Float32Array): TokenId[] {
  return Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b);
}

class ToyPass implements Pass {
  readonly size: number;
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly picks: Int32Array;
  readonly penalised: Penalised | undefined;
  readonly #logits: Float32Array[] = [];
  readonly #prefixes: readonly number[];
  readonly #want: Want;
  readonly #layers: number;
  #spoilt = false;

  constructor(
    target: ToyTarget,
    contexts: readonly TokenId[][],
    prefixes: readonly number[],
    lengths: readonly number[],
    paths: readonly TokenId[][],
    want: Want,
  ) {
    const { pick, penalties } = want;
    if ((pick || penalties) && want.topK === 0)
      throw new RangeError("who picks needs the best token; give a topK of at least 1");
    this.size = contexts.length;
    this.k = Math.min(want.topK, target.vocabSize);
    this.tokens = new Int32Array(this.size * this.k);
    this.logProbs = new Float32Array(this.size * this.k);
    this.picks = new Int32Array(pick ? this.size : 0);
    if (penalties) {
      const k = Math.min(penalties.listed, target.vocabSize);
      const length = this.size * k;
      this.penalised = { k, tokens: new Int32Array(length), logits: new Float32Array(length) };
    }
    this.#prefixes = prefixes;
    this.#want = want;
    this.#layers = target.layers;
    for (let row = 0; row < this.size; row++) {
      const logits = new Float32Array(target.vocabSize);
      this.#logits.push(logits);
      if (this.k === 0 && !want.logits) continue;
      target.fillLogits(contexts[row]!, prefixes[row]!, logits);
      const order = orderOf(logits);
      const changed = penalties ? logits.slice() : logits;
      if (penalties) penalise(changed, penalties, paths[row]);
      const best = penalties ? orderOf(changed) : order;
      for (let i = 0; this.penalised && i < this.penalised.k; i++) {
        this.penalised.tokens[row * this.penalised.k + i] = best[i]!;
        this.penalised.logits[row * this.penalised.k + i] = changed[best[i]!]!;
      }
      if (pick) this.picks[row] = pickToken(changed, best[0]!, pick, positionKey(pick.seed, lengths[row]!));
      const max = logits[order[0]!]!;
      let sum = 0;
      for (const logit of logits) sum += Math.exp(logit - max);
      for (let i = 0; i < this.k; i++) {
        this.tokens[row * this.k + i] = order[i]!;
        this.logProbs[row * this.k + i] = logits[order[i]!]! - max - Math.log(sum);
      }
    }
  }

  logits(node: NodeIndex): Float32Array {
    if (!this.#want.logits) throw new RangeError("logits were not asked for; set want.logits");
    this.#live(node);
    return this.#logits[node]!;
  }

  hidden(node: NodeIndex, tap: number): Float32Array {
    if (!this.#want.taps?.includes(tap) || tap > this.#layers) {
      throw new RangeError(`the hidden state of layer ${tap} was not asked for; name it in want.taps`);
    }
    this.#live(node);
    return toyState(this.#prefixes[node]!, tap);
  }

  spoil(): void {
    this.#spoilt = true;
    this.tokens.fill(-1);
    this.logProbs.fill(Number.NaN);
    this.picks.fill(-1);
    this.penalised?.tokens.fill(-1);
    for (const row of this.#logits) row.fill(Number.NaN);
  }

  #live(node: NodeIndex): void {
    if (this.#spoilt) throw new Error("internal: a pass was read after the next one had started");
    if (!(node >= 0 && node < this.size)) throw new RangeError(`row ${node} of a pass of ${this.size} rows`);
  }
}
