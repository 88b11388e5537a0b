/** @file The weights of a model, found by their GGUF names, with shapes and types checked against the configuration. */

import { EspalierError } from "../errors.ts";
import type { ModelConfig } from "./config.ts";
import { matrixTypes, vectorTypes } from "./ggml-types.ts";
import type { Gguf } from "./gguf.ts";
import { describeText } from "./gguf-value.ts";
import type { TensorInfo } from "./tensor-table.ts";

/** Norms are vectors of hiddenSize; a matrix is [columns, rows] = [inputs, outputs]. */
export interface LayerTensors {
  /** Only some draft heads have none. */
  readonly attentionNorm: TensorInfo | undefined;
  /** [hiddenSize, heads * headSize] */
  readonly query: TensorInfo;
  /** [hiddenSize, kvHeads * headSize] */
  readonly key: TensorInfo;
  /** [hiddenSize, kvHeads * headSize] */
  readonly value: TensorInfo;
  /** [heads * headSize, hiddenSize] */
  readonly output: TensorInfo;
  readonly feedForwardNorm: TensorInfo;
  /** [hiddenSize, feedForwardSize] */
  readonly gate: TensorInfo;
  /** [hiddenSize, feedForwardSize] */
  readonly up: TensorInfo;
  /** [feedForwardSize, hiddenSize] */
  readonly down: TensorInfo;
  /** heads * headSize values, and kvHeads * headSize twice; undefined where the file has none. */
  readonly queryBias?: TensorInfo | undefined;
  readonly keyBias?: TensorInfo | undefined;
  readonly valueBias?: TensorInfo | undefined;
  /** headSize values, in a model with `headNorms`. */
  readonly queryNorm?: TensorInfo | undefined;
  readonly keyNorm?: TensorInfo | undefined;
  /** In a model with `postNorms`. */
  readonly attentionPostNorm?: TensorInfo | undefined;
  readonly feedForwardPostNorm?: TensorInfo | undefined;
}

export interface ModelTensors {
  /** [hiddenSize, vocabSize] */
  readonly embedding: TensorInfo;
  readonly layers: readonly LayerTensors[];
  readonly outputNorm: TensorInfo;
  /** [hiddenSize, vocabSize]; the embedding itself when the head is tied. */
  readonly head: TensorInfo;
  /** A divisor for the angle of each pair of values that turn together; rope.dims / 2 of them. */
  readonly ropeFactors: TensorInfo | undefined;
}

/**
 * Finds every weight. Throws EspalierError "missing-tensor", "unsupported-weight-type", or "bad-model" when a shape does
 * not fit or the file has a tensor that this version knows no use for: leaving it out would change the numbers.
 */
export function findTensors(gguf: Gguf, config: ModelConfig): ModelTensors {
  const used = new Set<string>();
  const { hiddenSize, feedForwardSize, vocabSize } = config;
  const queryRows = config.heads * config.headSize;
  const keyRows = config.kvHeads * config.headSize;

  function find(name: string, shape: readonly number[], types: readonly string[]): TensorInfo {
    const tensor = gguf.tensors.get(name);
    if (tensor === undefined) {
      throw new EspalierError("missing-tensor", `${gguf.path}: there is no tensor "${name}"`);
    }
    if (tensor.shape.length !== shape.length || tensor.shape.some((size, axis) => size !== shape[axis])) {
      throw new EspalierError(
        "bad-model",
        `${gguf.path}: tensor "${name}" is ${tensor.shape.join(" x ")}, the configuration needs ${shape.join(" x ")}`,
      );
    }
    if (!types.includes(tensor.type.name)) {
      throw new EspalierError(
        "unsupported-weight-type",
        `${gguf.path}: tensor "${name}" is of type ${tensor.type.name}; supported for it: ${types.join(", ")}`,
      );
    }
    used.add(name);
    return tensor;
  }
  const matrix = (name: string, columns: number, rows: number) => find(name, [columns, rows], matrixTypes);
  const vector = (name: string, size: number) => find(name, [size], vectorTypes);
  const norm = (name: string, size = hiddenSize) => vector(name, size);
  const bias = (name: string, size: number) => (gguf.tensors.has(name) ? vector(name, size) : undefined);

  const embedding = matrix("token_embd.weight", hiddenSize, vocabSize);
  const layers: LayerTensors[] = [];
  for (let layer = 0; layer < config.layers; layer++) {
    const name = (part: string, kind = "weight") => `blk.${layer}.${part}.${kind}`;
    const [query, key, value] = gguf.tensors.has(name("attn_qkv"))
      ? splitRows(matrix(name("attn_qkv"), hiddenSize, queryRows + 2 * keyRows), queryRows, keyRows, keyRows)
      : [
          matrix(name("attn_q"), hiddenSize, queryRows),
          matrix(name("attn_k"), hiddenSize, keyRows),
          matrix(name("attn_v"), hiddenSize, keyRows),
        ];
    const gateIsInUp =
      !gguf.tensors.has(name("ffn_gate")) &&
      gguf.tensors.get(name("ffn_up"))?.shape[1] === 2 * feedForwardSize;
    const [gate, up] = gateIsInUp
      ? splitRows(matrix(name("ffn_up"), hiddenSize, 2 * feedForwardSize), feedForwardSize, feedForwardSize)
      : [
          matrix(name("ffn_gate"), hiddenSize, feedForwardSize),
          matrix(name("ffn_up"), hiddenSize, feedForwardSize),
        ];
    layers.push({
      attentionNorm: norm(name("attn_norm")),
      query,
      key,
      value,
      output: matrix(name("attn_output"), queryRows, hiddenSize),
      feedForwardNorm: norm(name("ffn_norm")),
      gate,
      up,
      down: matrix(name("ffn_down"), feedForwardSize, hiddenSize),
      queryBias: bias(name("attn_q", "bias"), queryRows),
      keyBias: bias(name("attn_k", "bias"), keyRows),
      valueBias: bias(name("attn_v", "bias"), keyRows),
      queryNorm: config.headNorms ? norm(name("attn_q_norm"), config.headSize) : undefined,
      keyNorm: config.headNorms ? norm(name("attn_k_norm"), config.headSize) : undefined,
      attentionPostNorm: config.postNorms ? norm(name("post_attention_norm")) : undefined,
      feedForwardPostNorm: config.postNorms ? norm(name("post_ffw_norm")) : undefined,
    });
  }
  const outputNorm = norm("output_norm.weight");
  const head = config.tiedHead ? embedding : matrix("output.weight", hiddenSize, vocabSize);

  const ropeFactors = findRopeFactors(gguf, config, (name) => vector(name, config.rope.dims / 2));

  for (const name of gguf.tensors.keys()) {
    if (!used.has(name)) {
      throw new EspalierError(
        "bad-model",
        `${gguf.path}: tensor ${describeText(name)} has no place in a ${config.architecture} model of ${config.layers} layers`,
      );
    }
  }
  return { embedding, layers, outputNorm, head, ropeFactors };
}

/** Matrices that the file has in one, each as a tensor of so many of its rows. */
function splitRows<Counts extends number[]>(tensor: TensorInfo, ...counts: Counts) {
  const [columns, all] = tensor.shape as [number, number];
  const rowBytes = tensor.byteLength / all;
  let offset = tensor.offset;
  return counts.map((rows) => {
    const part = { ...tensor, shape: [columns, rows], offset, byteLength: rows * rowBytes };
    offset += part.byteLength;
    return part;
  }) as { [index in keyof Counts]: TensorInfo };
}

/** Those of Llama 3, or one of the two lists of longrope, as the context asks for. */
function findRopeFactors(
  gguf: Gguf,
  { rope, contextLength }: ModelConfig,
  find: (name: string) => TensorInfo,
): TensorInfo | undefined {
  if (rope.scaling.type !== "longrope") {
    return gguf.tensors.has("rope_freqs.weight") ? find("rope_freqs.weight") : undefined;
  }
  const [short, long] = [find("rope_factors_short.weight"), find("rope_factors_long.weight")];
  return contextLength > rope.scaling.originalContext ? long : short;
}
