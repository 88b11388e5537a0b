/** @file Writes exit blocks for tests: a block is the target's own last layer and final norm, which is where training begins. */

import { createHash } from "node:crypto";
import { readConfig } from "../src/checkpoint/config.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import type { GgufFile, GgufTensor, GgufValue } from "./gguf-writer.ts";

const PARTS = [
  ...["attn_norm", "attn_q", "attn_k", "attn_v", "attn_output"],
  ...["ffn_norm", "ffn_gate", "ffn_up", "ffn_down"],
];

/** A block behind layer `exitLayer` of the target in file `path`. `draftVocab`: its tokens; default: all. */
export async function copiedExit(
  path: string,
  { exitLayer, draftVocab }: { readonly exitLayer: number; readonly draftVocab?: readonly number[] },
): Promise<GgufFile> {
  await using gguf = await openGguf(path);
  const config = readConfig(gguf);
  const tokens = gguf.metadata.get("tokenizer.ggml.tokens")!.value as readonly string[];
  const hash = createHash("sha256");
  for (const token of tokens) hash.update(`${token}\0`);
  const key = (name: string) => `espalier-exit.${name}`;
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const f32 = (value: number): GgufValue => ({ type: "f32", value });
  const text = (value: string): GgufValue => ({ type: "string", value });
  const read = async (name: string, as: string): Promise<GgufTensor> => {
    const tensor = gguf.tensors.get(name)!;
    const data = new Uint8Array(tensor.byteLength);
    await gguf.read(tensor, data);
    return { name: as, type: tensor.type.id, shape: tensor.shape, data };
  };
  const tensors = [await read("output_norm.weight", "output_norm.weight")];
  for (const part of PARTS)
    tensors.push(await read(`blk.${config.layers - 1}.${part}.weight`, `blk.0.${part}.weight`));
  return {
    metadata: [
      ["general.architecture", text("espalier-exit")],
      ["general.name", text("the last layer")],
      [key("block_count"), u32(1)],
      [key("exit_layer"), u32(exitLayer)],
      [key("embedding_length"), u32(config.hiddenSize)],
      [key("feed_forward_length"), u32(config.feedForwardSize)],
      [key("attention.head_count"), u32(config.heads)],
      [key("attention.head_count_kv"), u32(config.kvHeads)],
      [key("attention.key_length"), u32(config.headSize)],
      [key("attention.layer_norm_rms_epsilon"), f32(config.normEpsilon)],
      [key("rope.freq_base"), f32(config.rope.base)],
      [key("draft_vocab"), { type: "array", of: "i32", value: draftVocab ?? tokens.map((_, id) => id) }],
      [key("target.name"), text("a target")],
      [key("target.block_count"), u32(config.layers)],
      [key("target.embedding_length"), u32(config.hiddenSize)],
      [key("target.vocab_size"), u32(config.vocabSize)],
      [key("target.tokens_sha256"), text(hash.digest("hex"))],
      [key("acceptance"), { type: "array", of: "f32", value: [0.5] }],
    ],
    tensors,
  };
}
