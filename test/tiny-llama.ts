/** @file A GGUF description of a small `llama` model for tests, with zeros for weights unless told otherwise. */

import { ggmlTypeNamed } from "../src/checkpoint/ggml-types.ts";
import type { GgufFile, GgufTensor, GgufValue } from "./gguf-writer.ts";

export interface TinyLlama {
  readonly layers: number;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly vocabSize: number;
  readonly tiedHead: boolean;
  /** Type of all matrices. */
  readonly matrixType: string;
  /** Added to the metadata or put in place of what would be there; undefined takes a key away. */
  readonly metadata: Readonly<Record<string, GgufValue | undefined>>;
  /** The bytes of a tensor; zeros by default. */
  readonly fill: (name: string, byteLength: number) => Uint8Array;
}

/** Pass the result to writeGguf. */
export function tinyLlama(options: Partial<TinyLlama> = {}): GgufFile {
  const model: TinyLlama = {
    layers: 2,
    hiddenSize: 64,
    feedForwardSize: 96,
    heads: 4,
    kvHeads: 2,
    vocabSize: 40,
    tiedHead: true,
    matrixType: "Q4_1",
    metadata: {},
    fill: (_, byteLength) => new Uint8Array(byteLength),
    ...options,
  };
  const { hiddenSize, feedForwardSize, vocabSize } = model;
  const keyRows = (hiddenSize / model.heads) * model.kvHeads;
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const metadata: Record<string, GgufValue | undefined> = {
    "general.architecture": { type: "string", value: "llama" },
    "llama.block_count": u32(model.layers),
    "llama.context_length": u32(512),
    "llama.embedding_length": u32(hiddenSize),
    "llama.feed_forward_length": u32(feedForwardSize),
    "llama.attention.head_count": u32(model.heads),
    "llama.attention.head_count_kv": u32(model.kvHeads),
    "llama.attention.layer_norm_rms_epsilon": { type: "f32", value: 1e-5 },
    "llama.rope.freq_base": { type: "f32", value: 10_000 },
    ...model.metadata,
  };

  const tensor = (name: string, typeName: string, shape: readonly number[]): GgufTensor => {
    const type = ggmlTypeNamed(typeName);
    const values = shape.reduce((product, size) => product * size, 1);
    const data = model.fill(`${name}.weight`, (values / type.blockSize) * type.blockBytes);
    return { name: `${name}.weight`, type: type.id, shape, data };
  };
  const matrix = (name: string, columns: number, rows: number) =>
    tensor(name, model.matrixType, [columns, rows]);
  const norm = (name: string) => tensor(name, "F32", [hiddenSize]);
  const layer = (index: number) => [
    norm(`blk.${index}.attn_norm`),
    matrix(`blk.${index}.attn_q`, hiddenSize, hiddenSize),
    matrix(`blk.${index}.attn_k`, hiddenSize, keyRows),
    matrix(`blk.${index}.attn_v`, hiddenSize, keyRows),
    matrix(`blk.${index}.attn_output`, hiddenSize, hiddenSize),
    norm(`blk.${index}.ffn_norm`),
    matrix(`blk.${index}.ffn_gate`, hiddenSize, feedForwardSize),
    matrix(`blk.${index}.ffn_up`, hiddenSize, feedForwardSize),
    matrix(`blk.${index}.ffn_down`, feedForwardSize, hiddenSize),
  ];
  return {
    metadata: Object.entries(metadata).flatMap(([key, value]) =>
      value === undefined ? [] : [[key, value] as const],
    ),
    tensors: [
      matrix("token_embd", hiddenSize, vocabSize),
      ...Array.from({ length: model.layers }, (_, index) => layer(index)).flat(),
      norm("output_norm"),
      ...(model.tiedHead ? [] : [matrix("output", hiddenSize, vocabSize)]),
    ],
  };
}
