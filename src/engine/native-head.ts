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
import type { DraftHead } from "../target/draft-head.ts";
import type { SpareMemory } from "../target/spare-memory.ts";
import type { TokenId } from "../types.ts";
import { Beside } from "./beside.ts";
import type { Arena, Binding, PassRequest, Stack, StackSpec } from "./binding.ts";
import { LateWeights } from "./late-weights.ts";
import { NativeHeadSequence } from "./native-head-sequence.ts";
import type { NativeTarget } from "./native-target.ts";
import { matricesOf, readLayer, readMatrices, readVector } from "./weights.ts";

/** Rows of a pass, and of a draft that is pending (ESP_MAX_NODES). */
const MAX_NODES = 128;
/** What one thread reads about as fast as a step is learnt from: heads of no more weights draft their first guesses meanwhile. */
const ASIDE_BYTES = 8 * 2 ** 20;

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
      layers: [{ ...(await readLayer(file, layer, matrix)), rope: 0, window: config.window ?? 0 }],
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
  readonly #beside: Beside;

  constructor(target: NativeTarget, config: NativeHead["config"], read: () => Promise<HeadWeights>) {
    this.target = target;
    this.config = config;
    this.#beside = new Beside(target.binding);
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
    return this.#beside.begin(pass);
  }

  /** Waits for what runs aside, whoever began it: its weights serve one pass at a time. */
  settle(): void {
    this.#beside.settle();
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
