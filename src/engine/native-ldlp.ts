/**
 * @file A length predictor (AdaEAGLE's LDLP, arXiv:2412.18910) whose layers are the engine's: three of them and one number, at once
 * and on the JavaScript thread, since a step waits for it.
 *
 *     x = silu(W_in [e; f] + b),  f = norm(last hidden state);   x = x + silu(W x + b), twice;   length = round(w x + b)
 */

import { openGguf } from "../checkpoint/gguf.ts";
import type { HeadTarget } from "../checkpoint/head-file.ts";
import {
  findLdlpTensors,
  type LdlpLayer,
  type LdlpTensors,
  readLdlpConfig,
} from "../checkpoint/ldlp-file.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import type { Arena, Binding, Matrix } from "./binding.ts";
import { LateWeights } from "./late-weights.ts";
import type { NativeTarget } from "./native-target.ts";
import { readMatrices, readVector } from "./weights.ts";

interface Layer {
  readonly matrix: Matrix;
  readonly bias: Float32Array;
}

interface Weights {
  readonly arena: Arena;
  readonly input: Layer;
  readonly blocks: readonly Layer[];
  readonly output: Float32Array;
  readonly outputBias: number;
  /** Room for what goes from layer to layer. */
  readonly x: Float32Array;
  readonly y: Float32Array;
}

/**
 * Opens a predictor for `target` and the draft head or model of the file `drafts`. Throws EspalierError: what is wrong with the file, or
 * that it belongs to others. Its weights are read by {@link NativeLdlp.load}.
 */
export async function openLdlp(
  path: string,
  target: NativeTarget,
  tokens: HeadTarget["tokens"],
  drafts: string,
): Promise<NativeLdlp> {
  await using gguf = await openGguf(path);
  const config = await readLdlpConfig(gguf, { config: target.config, tokens }, drafts);
  const tensors = findLdlpTensors(gguf, config, target.hiddenSize);
  return new NativeLdlp(target, config.longest, () => readLdlp(path, target, tensors));
}

async function readLdlp(
  path: string,
  { binding }: NativeTarget,
  { input, blocks, output }: LdlpTensors,
): Promise<Weights> {
  await using gguf = await openGguf(path);
  const matrices = [input, ...blocks].map(({ weight }) => weight);
  const { arena, matrix } = await readMatrices(binding, gguf, matrices);
  const layer = async ({ weight, bias }: LdlpLayer): Promise<Layer> => ({
    matrix: matrix(weight),
    bias: await readVector(gguf, bias),
  });
  try {
    const last = await readVector(gguf, output.weight);
    return {
      arena,
      input: await layer(input),
      blocks: await Promise.all(blocks.map(layer)),
      output: last,
      outputBias: (await readVector(gguf, output.bias))[0]!,
      x: new Float32Array(last.length),
      y: new Float32Array(last.length),
    };
  } catch (error) {
    binding.release(arena);
    throw error;
  }
}

export class NativeLdlp implements LengthPredictor, AsyncDisposable {
  readonly taps: readonly [number, number];
  readonly longest: number;
  readonly #binding: Binding;
  readonly #late: LateWeights<Weights>;
  readonly #norm: Float32Array;
  readonly #epsilon: number;
  /** The embedding and the normed last state. */
  readonly #in: Float32Array;

  constructor(target: NativeTarget, longest: number, read: () => Promise<Weights>) {
    this.taps = [0, target.layers];
    this.longest = longest;
    this.#binding = target.binding;
    this.#late = new LateWeights(read, ({ arena }) => target.binding.release(arena));
    this.#norm = target.finalNorm;
    this.#epsilon = target.config.normEpsilon;
    this.#in = new Float32Array(2 * target.hiddenSize);
  }

  load(): Promise<void> {
    return this.#late.load();
  }

  predict(embedding: Float32Array, last: Float32Array): number {
    this.#in.set(embedding);
    this.#normed(last, this.#in.subarray(embedding.length));
    const { input, blocks, output, outputBias, x, y } = this.#late.weights;
    const binding = this.#binding;
    binding.dense({ ...input, input: this.#in, output: x });
    for (const block of blocks) {
      binding.dense({ ...block, input: x, output: y });
      for (let i = 0; i < x.length; i++) x[i] = x[i]! + y[i]!;
    }
    let length = outputBias;
    for (let i = 0; i < x.length; i++) length += output[i]! * x[i]!;
    // What is not a number drafts nothing.
    return Math.min(this.longest, Math.max(0, Math.round(length) || 0));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#late[Symbol.asyncDispose]();
  }

  /** The target's final norm. */
  #normed(state: Float32Array, to: Float32Array): void {
    let squares = 0;
    for (const value of state) squares += value * value;
    const scale = 1 / Math.sqrt(squares / state.length + this.#epsilon);
    for (let i = 0; i < state.length; i++) to[i] = state[i]! * scale * this.#norm[i]!;
  }
}
