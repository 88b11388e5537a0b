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
import type { DraftHead, HeadPass, HeadSequence } from "../target/draft-head.ts";
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
    return { arenas: [arena], stack };
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
}

export class NativeHead implements DraftHead {
  readonly target: NativeTarget;
  readonly config: BlockConfig & { readonly fuses?: boolean; readonly textRows?: boolean };
  readonly maxNodes = MAX_NODES;
  readonly featureSize: number;
  readonly #late: LateWeights<HeadWeights>;

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
    await this.#late[Symbol.asyncDispose]();
  }
}

class NativeHeadSequence implements HeadSequence {
  readonly capacity: number;
  readonly #head: NativeHead;
  readonly #cache: Cache;
  readonly #tokens: TextTokens;
  /** Of the rows of its newest pass. */
  readonly #memory: RowMemory;
  #length = 0;
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
      await target.inTurn(() => binding.forward(request)).catch(this.#explain(size));
      if (this.#textRows) this.#tokens.add(tokens.subarray(done, done + size), this.#length);
      this.#length += size;
      done += size;
    }
  }

  async forward(request: Parameters<HeadSequence["forward"]>[0]): Promise<HeadPass> {
    const { tree, first, input, from, topK, noise, lastOnly = false } = request;
    this.#checkAlive();
    const { target, binding, config, hiddenSize, maxNodes } = this.#head;
    if (tree.size > maxNodes)
      throw new RangeError(`a draft of ${tree.size} nodes; a head takes at most ${maxNodes}`);
    const size = tree.size - first;
    const k = Math.min(topK, config.draftVocab.length);
    const rows = lastOnly ? 1 : size;
    if (this.#textRows && from === "target")
      this.#tokens.add(tree.tokens.subarray(first, tree.size), this.#length + first);
    const others = this.#textRows ? this.#tokens.list : undefined;
    this.#memory.free();
    const tokens = this.#memory.ints(rows * k);
    const logProbs = this.#memory.floats(rows * k);
    const states = this.#memory.floats(size * hiddenSize);
    const pick = noise && {
      seed: noise.seed,
      scale: 1 / noise.temperature,
      reach: Number.POSITIVE_INFINITY,
      ahead: noise.ahead,
    };
    // Every field by itself: an object that is spread and then added to takes 4 KB.
    const pass: PassRequest = {
      stack: this.#head.stack,
      from: 0,
      to: 1,
      topK: k,
      trees: [
        { cache: this.#cache, tokens: tree.tokens, parents: tree.parents, size: tree.size, first, pick },
      ],
      ids: noise && config.draftVocab,
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
    await target.inTurn(() => binding.forwardNow(pass)).catch(this.#explain(size));
    const own = config.draftVocab;
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
  }
}
