/** @file Writes a draft head of random weights for a model (training/eagle/README.md has the format): it costs what a trained one costs. */

import { createHash, randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { readConfig } from "../../dist/checkpoint/config.js";
import { openGguf } from "../../dist/checkpoint/gguf.js";

const U32 = 4;
const I32 = 5;
const F32 = 6;
const STRING = 8;
const ARRAY = 9;
/** By GGML number: bytes of a block of 32 values, and how many halves of scales begin it. */
const KINDS = { q4_1: { id: 3, bytes: 20, halves: 2 }, q8_0: { id: 8, bytes: 34, halves: 1 } };
/** 2^-7 as a half. */
const SCALE = 0x2000;

const u32 = (value) => Buffer.from(Uint32Array.of(value).buffer);
const u64 = (value) => Buffer.from(BigUint64Array.of(BigInt(value)).buffer);
const string = (text) => Buffer.concat([u64(Buffer.byteLength(text)), Buffer.from(text)]);
const array = (type, values) => Buffer.concat([u32(type), u64(values.length), Buffer.from(values.buffer)]);

function matrix(name, columns, rows, { id, bytes, halves }) {
  const data = randomBytes((rows * columns * bytes) / 32);
  for (let at = 0; at < data.length; at += bytes) {
    for (let i = 0; i < halves; i++) data.writeUInt16LE(i === 0 ? SCALE : SCALE | 0x8000, at + 2 * i);
  }
  return { name: `${name}.weight`, id, shape: [columns, rows], data };
}

function norm(name, size) {
  return {
    name: `${name}.weight`,
    id: 0,
    shape: [size],
    data: Buffer.from(new Float32Array(size).fill(1).buffer),
  };
}

/**
 * A head with fused features: `vocab` rows of output, matrices of `kind` ("q4_1" or "q8_0"), a feed-forward of `inner` values (default: as
 * many as the model's).
 */
export async function writeRandomHead(path, modelPath, { vocab, kind, ...options }) {
  const gguf = await openGguf(modelPath);
  const config = readConfig(gguf);
  const tokens = gguf.metadata.get("tokenizer.ggml.tokens").value;
  await gguf[Symbol.asyncDispose]();
  const { hiddenSize: hidden, heads, kvHeads, headSize, layers, vocabSize } = config;
  const { inner = config.feedForwardSize } = options;
  const hash = createHash("sha256");
  for (const token of tokens) hash.update(`${token}\0`);
  const own = (key) => `espalier-eagle.${key}`;
  const metadata = [
    ["general.architecture", STRING, string("espalier-eagle")],
    ["general.name", STRING, string("random head")],
    [own("kind"), STRING, string("eagle-fused")],
    [own("block_count"), U32, u32(1)],
    [own("embedding_length"), U32, u32(hidden)],
    [own("feed_forward_length"), U32, u32(inner)],
    [own("attention.head_count"), U32, u32(heads)],
    [own("attention.head_count_kv"), U32, u32(kvHeads)],
    [own("attention.key_length"), U32, u32(headSize)],
    [own("attention.layer_norm_rms_epsilon"), F32, Buffer.from(Float32Array.of(1e-5).buffer)],
    [own("rope.freq_base"), F32, Buffer.from(Float32Array.of(10_000).buffer)],
    [own("taps"), ARRAY, array(I32, Int32Array.of(2, layers >> 1, layers - 3))],
    [
      own("draft_vocab"),
      ARRAY,
      array(
        I32,
        Int32Array.from({ length: vocab }, (_, i) => i),
      ),
    ],
    [own("target.name"), STRING, string("measured")],
    [own("target.block_count"), U32, u32(layers)],
    [own("target.embedding_length"), U32, u32(hidden)],
    [own("target.vocab_size"), U32, u32(vocabSize)],
    [own("target.tokens_sha256"), STRING, string(hash.digest("hex"))],
  ];
  const block = KINDS[kind];
  const [query, key] = [heads * headSize, kvHeads * headSize];
  const tensors = [
    norm("fuse_norm", 3 * hidden),
    matrix("fuse", 3 * hidden, hidden, block),
    ...["embd_norm", "feature_norm", "output_norm", "blk.0.attn_norm", "blk.0.ffn_norm"].map((name) =>
      norm(name, hidden),
    ),
    matrix("fc", 2 * hidden, hidden, block),
    matrix("blk.0.attn_q", hidden, query, block),
    matrix("blk.0.attn_k", hidden, key, block),
    matrix("blk.0.attn_v", hidden, key, block),
    matrix("blk.0.attn_output", query, hidden, block),
    matrix("blk.0.ffn_gate", hidden, inner, block),
    matrix("blk.0.ffn_up", hidden, inner, block),
    matrix("blk.0.ffn_down", inner, hidden, block),
    matrix("output", hidden, vocab, block),
  ];
  const head = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, type, value] of metadata) head.push(string(key), u32(type), value);
  let offset = 0;
  const data = [];
  for (const { name, id, shape, data: bytes } of tensors) {
    head.push(string(name), u32(shape.length), ...shape.map(u64), u32(id), u64(offset));
    const padding = -bytes.length & 31;
    data.push(bytes, Buffer.alloc(padding));
    offset += bytes.length + padding;
  }
  const header = Buffer.concat(head);
  await writeFile(path, Buffer.concat([header, Buffer.alloc(-header.length & 31), ...data]));
}
