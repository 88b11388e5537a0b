/**
 * @file A length predictor (AdaEAGLE's LDLP, arXiv:2412.18910) whose layers are the engine's: three of them and one number, at once
 * and on the JavaScript thread, since a step waits for it.
 *
 *     x = silu(W_in [e; f] + b),  f = norm(last hidden state);   x = x + silu(W x + b), twice;   length = round(w x + b)
 */

import { openGguf } from "../checkpoint/gguf.ts";
import type { HeadTarget } from "../checkpoint/head-file.ts";
import { findLdlpTensors, type LdlpLayer, readLdlpConfig } from "../checkpoint/ldlp-file.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import type { Arena, Binding, Matrix } from "./binding.ts";
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
}

/**
 * Opens a predictor for `target` and the draft head or model of the file `drafts`. Throws EspalierError: what is wrong with the file, or
 * that it belongs to others.
 */
export async function loadLdlp(
  path: string,
  target: NativeTarget,
  tokens: HeadTarget["tokens"],
  drafts: string,
): Promise<NativeLdlp> {
  await using gguf = await openGguf(path);
  const config = await readLdlpConfig(gguf, { config: target.config, tokens }, drafts);
  const { input, blocks, output } = findLdlpTensors(gguf, config, target.hiddenSize);
  const matrices = [input, ...blocks].map(({ weight }) => weight);
  const { arena, matrix } = await readMatrices(target.binding, gguf, matrices);
  const layer = async ({ weight, bias }: LdlpLayer): Promise<Layer> => ({
    matrix: matrix(weight),
    bias: await readVector(gguf, bias),
  });
  try {
    const weights: Weights = {
      arena,
      input: await layer(input),
      blocks: await Promise.all(blocks.map(layer)),
      output: await readVector(gguf, output.weight),
      outputBias: (await readVector(gguf, output.bias))[0]!,
    };
    return new NativeLdlp(target, weights, config.longest);
  } catch (error) {
    target.binding.release(arena);
    throw error;
  }
}

export class NativeLdlp implements LengthPredictor, Disposable {
  readonly taps: readonly [number, number];
  readonly longest: number;
  readonly #binding: Binding;
  readonly #weights: Weights;
  readonly #norm: Float32Array;
  readonly #epsilon: number;
  /** The embedding and the normed last state. */
  readonly #in: Float32Array;
  readonly #x: Float32Array;
  readonly #y: Float32Array;

  /** Takes over the weights. */
  constructor(target: NativeTarget, weights: Weights, longest: number) {
    this.taps = [0, target.layers];
    this.longest = longest;
    this.#binding = target.binding;
    this.#weights = weights;
    this.#norm = target.finalNorm;
    this.#epsilon = target.config.normEpsilon;
    this.#in = new Float32Array(2 * target.hiddenSize);
    this.#x = new Float32Array(weights.output.length);
    this.#y = new Float32Array(weights.output.length);
  }

  predict(embedding: Float32Array, last: Float32Array): number {
    this.#in.set(embedding);
    this.#normed(last, this.#in.subarray(embedding.length));
    const [x, y] = [this.#x, this.#y];
    const binding = this.#binding;
    binding.dense({ ...this.#weights.input, input: this.#in, output: x });
    for (const block of this.#weights.blocks) {
      binding.dense({ ...block, input: x, output: y });
      for (let i = 0; i < x.length; i++) x[i] = x[i]! + y[i]!;
    }
    const { output, outputBias } = this.#weights;
    let length = outputBias;
    for (let i = 0; i < x.length; i++) length += output[i]! * x[i]!;
    // What is not a number drafts nothing.
    return Math.min(this.longest, Math.max(0, Math.round(length) || 0));
  }

  [Symbol.dispose](): void {
    this.#binding.release(this.#weights.arena);
  }

  /** The target's final norm. */
  #normed(state: Float32Array, to: Float32Array): void {
    let squares = 0;
    for (const value of state) squares += value * value;
    const scale = 1 / Math.sqrt(squares / state.length + this.#epsilon);
    for (let i = 0; i < state.length; i++) to[i] = state[i]! * scale * this.#norm[i]!;
  }
}
