/**
 * @file A decoder pass over a token tree, written to be read: 64-bit floats, one number at a time, nothing kept between
 * passes. It is what the engine's results are held against, and a way to learn what a pass does.
 *
 * A text is a tree without branches, so one list of nodes holds the committed text and the draft. The invariant that makes
 * tree passes possible: a node sees its ancestors and itself, and nothing else.
 */

import { type ModelConfig, readConfig } from "../src/checkpoint/config.ts";
import { type Gguf, openGguf } from "../src/checkpoint/gguf.ts";
import { findTensors } from "../src/checkpoint/model-tensors.ts";
import { type RopeConfig, ropeAmplitude, ropeFactors } from "../src/checkpoint/rope.ts";
import type { TensorInfo } from "../src/checkpoint/tensor-table.ts";
import type { DraftTree } from "../src/tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../src/types.ts";
import { dequantize, roundHalfToEven } from "./dequantize.ts";

type Vector = Float64Array;

/** `weights` row by row; a product with a vector of `columns` values gives one of `rows`. */
interface Matrix {
  readonly rows: number;
  readonly columns: number;
  readonly weights: Float32Array;
}

interface Layer {
  readonly attentionNorm: Float32Array;
  readonly query: Matrix;
  readonly key: Matrix;
  readonly value: Matrix;
  readonly output: Matrix;
  readonly feedForwardNorm: Float32Array;
  readonly gate: Matrix;
  readonly up: Matrix;
  readonly down: Matrix;
  readonly queryBias?: Float32Array | undefined;
  readonly keyBias?: Float32Array | undefined;
  readonly valueBias?: Float32Array | undefined;
  readonly queryNorm?: Float32Array | undefined;
  readonly keyNorm?: Float32Array | undefined;
  readonly attentionPostNorm?: Float32Array | undefined;
  readonly feedForwardPostNorm?: Float32Array | undefined;
}

interface Rope {
  readonly rope: RopeConfig;
  readonly factors: Float32Array | undefined;
}

/** What the engine rounds on purpose; without these the pass is exact arithmetic on the file's weights. */
export interface Rounding {
  /** The input of every matrix product becomes int8 in blocks of 32, with a scale of max / 127. */
  readonly int8Inputs?: boolean;
}

interface Node {
  readonly token: TokenId;
  readonly position: Position;
  /** Itself and all its ancestors, the first token of the text first. */
  readonly sees: readonly number[];
}

/** Results of one node. */
export interface ReferenceRow {
  /** vocabSize values. */
  readonly logits: Vector;
  /** The hidden state (hiddenSize values) after each layer; [0] is the embedding. */
  readonly hidden: readonly Vector[];
}

export class ReferencePass {
  readonly config: ModelConfig;
  readonly #embedding: Matrix;
  readonly #layers: readonly Layer[];
  readonly #outputNorm: Float32Array;
  readonly #head: Matrix;
  readonly #rope: Rope;
  /** Of layers with a window. */
  readonly #localRope: Rope;

  private constructor(
    config: ModelConfig,
    embedding: Matrix,
    layers: readonly Layer[],
    outputNorm: Float32Array,
    head: Matrix,
    listedFactors: Float32Array | undefined,
  ) {
    this.config = config;
    this.#embedding = embedding;
    this.#layers = layers;
    this.#outputNorm = outputNorm;
    this.#head = head;
    this.#rope = { rope: config.rope, factors: ropeFactors(config.rope, listedFactors) };
    this.#localRope =
      config.localRope === undefined
        ? this.#rope
        : { rope: config.localRope, factors: ropeFactors(config.localRope) };
  }

  /** Reads and de-quantises all weights of a file, for texts of up to `contextLength` tokens. */
  static async open(path: string, contextLength?: number): Promise<ReferencePass> {
    await using gguf = await openGguf(path);
    const trained = readConfig(gguf);
    const config = { ...trained, contextLength: contextLength ?? trained.contextLength };
    const tensors = findTensors(gguf, config);
    const vector = (tensor: TensorInfo) => readTensor(gguf, tensor);
    const optional = async (tensor: TensorInfo | undefined) => tensor && (await vector(tensor));
    const matrix = async (tensor: TensorInfo): Promise<Matrix> => {
      const [columns, rows] = tensor.shape as [number, number];
      return { rows, columns, weights: await readTensor(gguf, tensor) };
    };
    const layers: Layer[] = [];
    for (const layer of tensors.layers) {
      layers.push({
        attentionNorm: await vector(layer.attentionNorm!),
        query: await matrix(layer.query),
        key: await matrix(layer.key),
        value: await matrix(layer.value),
        output: await matrix(layer.output),
        feedForwardNorm: await vector(layer.feedForwardNorm),
        gate: await matrix(layer.gate),
        up: await matrix(layer.up),
        down: await matrix(layer.down),
        queryBias: await optional(layer.queryBias),
        keyBias: await optional(layer.keyBias),
        valueBias: await optional(layer.valueBias),
        queryNorm: await optional(layer.queryNorm),
        keyNorm: await optional(layer.keyNorm),
        attentionPostNorm: await optional(layer.attentionPostNorm),
        feedForwardPostNorm: await optional(layer.feedForwardPostNorm),
      });
    }
    const embedding = await matrix(tensors.embedding);
    const head = tensors.head === tensors.embedding ? embedding : await matrix(tensors.head);
    const norm = await vector(tensors.outputNorm);
    return new ReferencePass(config, embedding, layers, norm, head, await optional(tensors.ropeFactors));
  }

  /** One row per node of `tree`, which stands on top of `text`. */
  rows(text: readonly TokenId[], tree: DraftTree, rounding: Rounding = {}): ReferenceRow[] {
    const nodes = nodesOf(text, tree);
    let states: Vector[] = nodes.map(({ token }) => {
      return rowOf(this.#embedding, token).map((value) => value * this.config.embeddingScale);
    });
    const history = [states];
    for (const [index, layer] of this.#layers.entries()) {
      states = this.#attend(layer, index, nodes, states, rounding);
      states = states.map((x) => this.#feedForward(layer, x, rounding));
      history.push(states);
    }
    return nodes.slice(text.length).map((_, node: NodeIndex) => ({
      hidden: history.map((after) => after[text.length + node]!),
      logits: this.#logits(states[text.length + node]!, rounding),
    }));
  }

  /** Each node gathers from what it sees, head by head: softmax(query . keys) weighs the values. */
  #attend(
    layer: Layer,
    index: number,
    nodes: readonly Node[],
    states: readonly Vector[],
    rounding: Rounding,
  ): Vector[] {
    const { heads, kvHeads, headSize, attentionScale, attentionCap, windows } = this.config;
    const window = windows[index] ?? Number.POSITIVE_INFINITY;
    const rope = windows[index] ? this.#localRope : this.#rope;
    const inputs = states.map((x) => this.#norm(x, layer.attentionNorm));
    const place = (x: Vector, norm: Float32Array | undefined, node: number) =>
      this.#turn(norm ? this.#normHeads(x, norm) : x, rope, nodes[node]!.position);
    const queries = inputs.map((x, i) =>
      place(biased(product(layer.query, x, rounding), layer.queryBias), layer.queryNorm, i),
    );
    const keys = inputs.map((x, i) =>
      place(biased(product(layer.key, x, rounding), layer.keyBias), layer.keyNorm, i),
    );
    const values = inputs.map((x) => biased(product(layer.value, x, rounding), layer.valueBias));

    return nodes.map(({ position, sees: before }, i) => {
      const sees = before.filter((j) => nodes[j]!.position > position - window);
      const gathered = new Float64Array(heads * headSize);
      for (let head = 0; head < heads; head++) {
        // Several query heads share one head of keys and values (GQA, arXiv:2305.13245).
        const shared = Math.floor(head / (heads / kvHeads));
        const query = headOf(queries[i]!, head, headSize);
        const scores = sees
          .map((j) => dot(query, headOf(keys[j]!, shared, headSize)) * attentionScale)
          .map((score) => capped(score, attentionCap));
        const result = headOf(gathered, head, headSize);
        for (const [at, weight] of softmax(scores).entries()) {
          const value = headOf(values[sees[at]!]!, shared, headSize);
          for (let d = 0; d < headSize; d++) result[d]! += weight * value[d]!;
        }
      }
      const added = product(layer.output, gathered, rounding);
      return sum(states[i]!, layer.attentionPostNorm ? this.#norm(added, layer.attentionPostNorm) : added);
    });
  }

  /** SwiGLU or GeGLU (arXiv:2002.05202): up, opened by the SiLU or GELU of gate, and down again. */
  #feedForward(layer: Layer, x: Vector, rounding: Rounding): Vector {
    const input = this.#norm(x, layer.feedForwardNorm);
    const gate = product(layer.gate, input, rounding);
    const up = product(layer.up, input, rounding);
    const activation = this.config.activation === "gelu" ? gelu : silu;
    const added = product(
      layer.down,
      gate.map((g, i) => activation(g) * up[i]!),
      rounding,
    );
    return sum(x, layer.feedForwardPostNorm ? this.#norm(added, layer.feedForwardPostNorm) : added);
  }

  #logits(x: Vector, rounding: Rounding): Vector {
    const logits = product(this.#head, this.#norm(x, this.#outputNorm), rounding);
    return logits.map((logit) => capped(logit, this.config.logitCap));
  }

  /** RMSNorm (arXiv:1910.07467). */
  #norm(x: Vector, weight: Float32Array): Vector {
    const scale = 1 / Math.sqrt(dot(x, x) / x.length + this.config.normEpsilon);
    return x.map((value, i) => value * scale * weight[i]!);
  }

  #normHeads(x: Vector, weight: Float32Array): Vector {
    const { headSize } = this.config;
    const normed = new Float64Array(x.length);
    for (let head = 0; head < x.length / headSize; head++) {
      normed.set(this.#norm(headOf(x, head, headSize), weight), head * headSize);
    }
    return normed;
  }

  /** RoPE (arXiv:2104.09864): pairs of a head's values turn by an angle that grows with the position. */
  #turn(x: Vector, { rope, factors }: Rope, position: Position): Vector {
    const { headSize } = this.config;
    const amplitude = ropeAmplitude(rope);
    const turned = x.slice();
    for (let head = 0; head < x.length / headSize; head++) {
      const values = headOf(turned, head, headSize);
      for (let pair = 0; pair < rope.dims / 2; pair++) {
        const angle = (position * rope.base ** ((-2 * pair) / rope.dims)) / (factors?.[pair] ?? 1);
        const [i, j] =
          rope.order === "neox" ? [pair, pair + rope.dims / 2] : ([2 * pair, 2 * pair + 1] as const);
        const [a, b] = [values[i]!, values[j]!];
        values[i] = (a * Math.cos(angle) - b * Math.sin(angle)) * amplitude;
        values[j] = (a * Math.sin(angle) + b * Math.cos(angle)) * amplitude;
      }
    }
    return turned;
  }
}

async function readTensor(gguf: Gguf, tensor: TensorInfo): Promise<Float32Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  await gguf.read(tensor, bytes);
  return dequantize(tensor.type.name, bytes);
}

function nodesOf(text: readonly TokenId[], tree: DraftTree): Node[] {
  const nodes: Node[] = [];
  for (const [position, token] of text.entries()) {
    nodes.push({ token, position, sees: [...text.keys()].slice(0, position + 1) });
  }
  for (let node = 0; node < tree.size; node++) {
    const path = tree.path(node).map((at) => text.length + at);
    nodes.push({
      token: tree.tokens[node]!,
      position: text.length + tree.depths[node]!,
      sees: [...text.keys(), ...path],
    });
  }
  return nodes;
}

function rowOf({ columns, weights }: Matrix, row: number): Vector {
  return Float64Array.from(weights.subarray(row * columns, (row + 1) * columns));
}

function headOf(x: Vector, head: number, size: number): Vector {
  return x.subarray(head * size, (head + 1) * size);
}

function product({ rows, columns, weights }: Matrix, x: Vector, { int8Inputs }: Rounding): Vector {
  const input = int8Inputs ? roundToInt8(x) : x;
  const result = new Float64Array(rows);
  for (let row = 0; row < rows; row++) {
    let total = 0;
    for (let column = 0; column < columns; column++)
      total += weights[row * columns + column]! * input[column]!;
    result[row] = total;
  }
  return result;
}

function biased(x: Vector, bias: Float32Array | undefined): Vector {
  return bias ? x.map((value, i) => value + bias[i]!) : x;
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x));
}

/** The tanh form (arXiv:1606.08415). */
function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

function capped(x: number, cap: number | undefined): number {
  return cap === undefined ? x : cap * Math.tanh(x / cap);
}

function roundToInt8(x: Vector): Vector {
  const rounded = new Float64Array(x.length);
  for (let block = 0; block < x.length; block += 32) {
    const scale =
      x.subarray(block, block + 32).reduce((most, value) => Math.max(most, Math.abs(value)), 0) / 127;
    for (let i = block; scale > 0 && i < block + 32; i++) rounded[i] = roundHalfToEven(x[i]! / scale) * scale;
  }
  return rounded;
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((total, value, i) => total + value * b[i]!, 0);
}

function sum(a: Vector, b: Vector): Vector {
  return a.map((value, i) => value + b[i]!);
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => weight / total);
}
