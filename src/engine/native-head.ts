/**
 * @file A draft head in the native engine: one layer behind an input of its own, on the target's threads, in turn with the target's
 * passes. Its drafting passes are shorter than the way to another thread, so they run on this one.
 */

import { stat } from "node:fs/promises";
import { openGguf } from "../checkpoint/gguf.ts";
import {
  type BlockConfig,
  findHeadTensors,
  type HeadTarget,
  readHeadConfig,
} from "../checkpoint/head-file.ts";
import { type OpenHead, openPublishedHead } from "../checkpoint/published-head.ts";
import type { TensorInfo } from "../checkpoint/tensor-table.ts";
import { EspalierError } from "../errors.ts";
import type { DraftHead, HeadPass, HeadPassAside, HeadSequence } from "../target/draft-head.ts";
import type { SpareMemory } from "../target/spare-memory.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import {
  type Arena,
  type Binding,
  type Cache,
  commitStatus,
  type PassFailure,
  type PassRequest,
  type Stack,
  type StackSpec,
} from "./binding.ts";
import { LateWeights } from "./late-weights.ts";
import { RowMemory } from "./native-pass.ts";
import type { NativeTarget } from "./native-target.ts";
import { TextTokens } from "./text-tokens.ts";
import { matricesOf, readLayer, readMatrices, readVector } from "./weights.ts";

/** Rows of a pass, and of a draft that is pending (ESP_MAX_NODES). */
const MAX_NODES = 128;
/** What one thread reads about as fast as a step is learnt from: heads of no more weights draft their first guesses meanwhile. */
const ASIDE_BYTES = 8 * 2 ** 20;
/** The output of the head's one layer. */
const STATE = Int32Array.of(1);

/**
 * Opens a head for `target`, whose vocabulary is `tokens`: a GGUF file, or a folder as EAGLE heads are published. Throws EspalierError:
 * what is wrong with the file, or that it belongs to another model. Its weights are read by {@link NativeHead.load}.
 */
export async function openHead(
  path: string,
  target: NativeTarget,
  tokens: readonly string[],
): Promise<NativeHead> {
  const open = () => openFile(path, { config: target.config, tokens });
  const { file, config } = await open();
  await file[Symbol.asyncDispose]();
  return new NativeHead(target, config, async () => readHead(path, target, await open()));
}

/** Closes the file. */
async function readHead(
  path: string,
  target: NativeTarget,
  { file, config, tensors }: OpenHead,
): Promise<HeadWeights> {
  await using _ = file;
  const { binding } = target;
  const { layer, fuse, fuseNorm, join, output } = tensors;
  const matrices = [fuse, join, ...matricesOf(layer), output === "target" ? undefined : output];
  const { arena, matrix } = await readMatrices(
    binding,
    file,
    matrices.filter((tensor) => tensor !== undefined),
  );
  const vector = async (tensor: TensorInfo | undefined) => tensor && (await readVector(file, tensor));
  try {
    const stack = binding.createStack(target.pool, {
      ...blockSpec(config),
      layers: [{ ...(await readLayer(file, layer, matrix)), rope: 0, window: 0 }],
      finalNorm: await vector(tensors.outputNorm),
      head: output === "target" ? target.output : matrix(output),
      others: config.textRows ? target.output : undefined,
      embedding: target.embedding,
      join: join && matrix(join),
      joinBias: await vector(tensors.joinBias),
      wide: config.wide,
      tokenNorm: await vector(tensors.tokenNorm),
      featureNorm: await vector(tensors.featureNorm),
      fuse: fuse && matrix(fuse),
      fuseNorm: fuseNorm === "target" ? target.finalNorm : await vector(fuseNorm),
    });
    const bytes = matrices.reduce((sum, tensor) => sum + (tensor?.byteLength ?? 0), 0);
    return { arenas: [arena], stack, runsAside: output !== "target" && bytes <= ASIDE_BYTES };
  } catch (cause) {
    binding.release(arena);
    throw refusal(path, cause);
  }
}

/** What a head's stack has in common with those of other heads. */
export function blockSpec(config: BlockConfig): Omit<StackSpec, "layers"> {
  return {
    hidden: config.hiddenSize,
    feed: config.feedForwardSize,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headSize: config.headSize,
    vocab: config.draftVocab.length,
    ropeDims: config.headSize,
    ropeNeox: config.ropeOrder === "neox",
    ropes: [{ base: config.ropeBase, amplitude: 1 }],
    normEpsilon: config.normEpsilon,
    gelu: false,
    embeddingScale: 1,
    attentionCap: 0,
    logitCap: 0,
    attentionScale: 1 / Math.sqrt(config.headSize),
  };
}

/** The error for a file whose stack cannot be made. */
export function refusal(path: string, cause: unknown): EspalierError {
  if (cause instanceof EspalierError) return cause;
  const message = `the engine does not take ${path}: ${(cause as Error).message}`;
  return new EspalierError("bad-model", message, { cause });
}

async function openFile(path: string, target: HeadTarget): Promise<OpenHead> {
  const folder = await stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
  if (folder) return await openPublishedHead(path, target);
  const file = await openGguf(path);
  try {
    const config = readHeadConfig(file, target);
    return { file, config, tensors: findHeadTensors(file, config) };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** What a head takes of the engine's memory. */
export interface HeadWeights {
  readonly arenas: readonly Arena[];
  readonly stack: Stack;
  /** Whether one thread is enough for a small pass. */
  readonly runsAside?: boolean;
}

export class NativeHead implements DraftHead {
  readonly target: NativeTarget;
  readonly config: BlockConfig & { readonly fuses?: boolean; readonly textRows?: boolean };
  readonly maxNodes = MAX_NODES;
  readonly featureSize: number;
  readonly #late: LateWeights<HeadWeights>;
  #settle: (() => void) | undefined;

  constructor(target: NativeTarget, config: NativeHead["config"], read: () => Promise<HeadWeights>) {
    this.target = target;
    this.config = config;
    this.#late = new LateWeights(read, ({ arenas, stack }) => {
      for (const handle of [stack, ...arenas]) this.binding.release(handle);
    });
    this.featureSize = config.taps.length * config.hiddenSize;
  }

  load(): Promise<void> {
    return this.#late.load();
  }

  get stack(): Stack {
    return this.#late.weights.stack;
  }

  /** Begins a pass beside the caller, unless passes run or wait, or it is none for one thread. Gives what waits for it, and throws what went wrong. */
  begin(pass: PassRequest): (() => void) | undefined {
    if (!this.#late.weights.runsAside || !this.target.isIdle) return undefined;
    this.settle();
    const handle = this.binding.forwardBegin(pass);
    if (!handle) return undefined;
    let failure: unknown;
    const settle = () => {
      this.#settle = undefined;
      try {
        this.binding.forwardEnd(handle);
      } catch (error) {
        failure = error;
      }
    };
    this.#settle = settle;
    return () => {
      if (this.#settle === settle) settle();
      if (failure !== undefined) throw failure;
    };
  }

  /** Waits for what runs aside, whoever began it: its weights serve one pass at a time. */
  settle(): void {
    this.#settle?.();
  }

  get binding(): Binding {
    return this.target.binding;
  }
  get name(): string {
    return this.config.name;
  }
  get taps(): readonly number[] {
    return this.config.taps;
  }
  get hiddenSize(): number {
    return this.config.hiddenSize;
  }
  get draftVocab(): ArrayLike<TokenId> {
    return this.config.draftVocab;
  }
  get spare(): SpareMemory {
    return this.target.spare;
  }

  createSequence({ capacity }: { readonly capacity: number }): NativeHeadSequence {
    const cache = this.binding.createCache(this.stack, capacity, true);
    if (!cache) throw this.outOfMemory(capacity);
    return new NativeHeadSequence(this, cache, capacity);
  }

  outOfMemory(rows: number): EspalierError {
    return new EspalierError(
      "out-of-memory",
      `no memory for a draft head's cache of ${rows} tokens; give a smaller context`,
    );
  }

  /** Frees the weights; its sequences must be freed before. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.settle();
    await this.#late[Symbol.asyncDispose]();
  }
}

type HeadRequest = Parameters<HeadSequence["forward"]>[0];

/** Where a pass puts what it finds, and the tokens of its rows behind the head's own. */
interface HeadRows extends HeadPass {
  readonly others: Int32Array | undefined;
}

class NativeHeadSequence implements HeadSequence {
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
    await target.inTurn(() => binding.forwardNow(pass)).catch(this.#explain(rows.size));
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
          this.#explain(rows.size)(error as PassFailure);
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
    const size = tree.size - first;
    const k = Math.min(topK, config.draftVocab.length);
    const rows = lastOnly ? 1 : size;
    if (this.#textRows && from === "target")
      this.#tokens.add(tree.tokens.subarray(first, tree.size), this.#length + first);
    this.#memory.free();
    return {
      size,
      k,
      tokens: this.#memory.ints(rows * k),
      logProbs: this.#memory.floats(rows * k),
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
    const status = this.#head.binding.cacheCommit(this.#cache, Int32Array.from(path));
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
