import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type GgufFile, type GgufValue, writeGguf } from "../../test/gguf-writer.ts";
import { tinyLlama } from "../../test/tiny-llama.ts";
import { readConfig } from "./config.ts";
import { openGguf } from "./gguf.ts";
import { findTensors } from "./model-tensors.ts";

let folder: string;
let files = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-config-"));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

async function open(file: GgufFile) {
  const path = join(folder, `${files++}.gguf`);
  await writeFile(path, writeGguf(file));
  return await openGguf(path);
}

async function load(file: GgufFile) {
  await using gguf = await open(file);
  const config = readConfig(gguf);
  return { config, tensors: findTensors(gguf, config) };
}

const u32 = (value: number): GgufValue => ({ type: "u32", value });
const f32 = (value: number): GgufValue => ({ type: "f32", value });
const text = (value: string): GgufValue => ({ type: "string", value });

test("reads a configuration and finds the weights", async () => {
  const { config, tensors } = await load(tinyLlama());
  expect(config).toEqual({
    architecture: "llama",
    layers: 2,
    hiddenSize: 64,
    feedForwardSize: 96,
    heads: 4,
    kvHeads: 2,
    headSize: 16,
    vocabSize: 40,
    contextLength: 512,
    normEpsilon: Math.fround(1e-5),
    rope: { order: "normal", dims: 16, base: 10_000, scaling: { type: "none" } },
    localRope: undefined,
    windows: [undefined, undefined],
    headNorms: false,
    postNorms: false,
    activation: "silu",
    embeddingScale: 1,
    attentionScale: 0.25,
    attentionCap: undefined,
    logitCap: undefined,
    tiedHead: true,
  });
  expect(tensors.layers).toHaveLength(2);
  expect(tensors.layers[1]!.key).toMatchObject({ name: "blk.1.attn_k.weight", shape: [64, 32] });
  expect(tensors.head).toBe(tensors.embedding);
});

test("a head of its own is found; integers may be of any width; defaults apply", async () => {
  const { config, tensors } = await load(
    tinyLlama({
      tiedHead: false,
      kvHeads: 4,
      metadata: {
        "llama.block_count": { type: "u64", value: 2 },
        "llama.attention.head_count_kv": undefined,
        "llama.rope.freq_base": undefined,
        "llama.rope.dimension_count": u32(8),
        "llama.rope.scaling.type": text("none"),
        "llama.expert_count": { type: "u64", value: 0 },
      },
    }),
  );
  expect(config).toMatchObject({ tiedHead: false, kvHeads: 4, rope: { dims: 8, base: 10_000 } });
  expect(tensors.head.name).toBe("output.weight");
});

test("stretched rotation is read, with what files leave out", async () => {
  const scaling = async (metadata: Record<string, GgufValue>) =>
    (await load(tinyLlama({ metadata }))).config.rope.scaling;
  expect(await scaling({ "llama.rope.scale_linear": f32(4) })).toEqual({ type: "linear", factor: 4 });
  expect(
    await scaling({ "llama.rope.scaling.type": text("yarn"), "llama.rope.scaling.factor": f32(4) }),
  ).toEqual({
    type: "yarn",
    factor: 4,
    originalContext: 512,
    betaFast: 32,
    betaSlow: 1,
    amplitude: 1 + 0.1 * Math.log(4),
  });
  expect(
    await scaling({ "llama.rope.scaling.type": text("none"), "llama.rope.scaling.factor": f32(4) }),
  ).toEqual({ type: "none" });
});

test("windows: in every layer, in all but each n-th, or as a list says", async () => {
  const windows = async (metadata: Record<string, GgufValue>) =>
    (
      await load(
        tinyLlama({ layers: 3, metadata: { "llama.attention.sliding_window": u32(9), ...metadata } }),
      )
    ).config.windows;
  const pattern = "llama.attention.sliding_window_pattern";
  expect(await windows({})).toEqual([9, 9, 9]);
  expect(await windows({ [pattern]: u32(2) })).toEqual([9, undefined, 9]);
  expect(await windows({ [pattern]: u32(1) })).toEqual([undefined, undefined, undefined]);
  expect(await windows({ [pattern]: { type: "array", of: "bool", value: [false, true, true] } })).toEqual([
    undefined,
    9,
    9,
  ]);
  expect(await windows({ "llama.attention.sliding_window": u32(0) })).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("gemma3 is told apart by what its files do not say", async () => {
  const layers = 7;
  const plain = tinyLlama({ layers });
  const added = (name: string, size: number) => ({
    name,
    type: 0,
    shape: [size],
    data: new Uint8Array(4 * size),
  });
  const norms = Array.from({ length: layers }, (_, layer) => [
    added(`blk.${layer}.attn_q_norm.weight`, 16),
    added(`blk.${layer}.attn_k_norm.weight`, 16),
    added(`blk.${layer}.post_attention_norm.weight`, 64),
    added(`blk.${layer}.post_ffw_norm.weight`, 64),
  ]).flat();
  const metadata = [
    ...plain.metadata.map(([key, value]) => [String(key).replace("llama.", "gemma3."), value] as const),
    ["gemma3.attention.sliding_window", u32(32)] as const,
    ["gemma3.final_logit_softcapping", f32(30)] as const,
  ].map(([key, value]) =>
    key === "general.architecture" ? ([key, text("gemma3")] as const) : ([key, value] as const),
  );
  const { config, tensors } = await load({ metadata, tensors: [...plain.tensors, ...norms] });
  expect(config).toMatchObject({
    architecture: "gemma3",
    localRope: { order: "neox", base: 10_000, scaling: { type: "none" } },
    windows: [32, 32, 32, 32, 32, undefined, 32],
    activation: "gelu",
    embeddingScale: 8,
    attentionScale: 0.25,
    attentionCap: undefined,
    logitCap: 30,
  });
  expect(tensors.layers[6]!.feedForwardPostNorm!.name).toBe("blk.6.post_ffw_norm.weight");
  const missing = load({ metadata, tensors: [...plain.tensors, ...norms.slice(1)] });
  await expect(missing).rejects.toThrow(/"blk.0.attn_q_norm.weight"/);
});

test("matrices that a file has in one are parts of it", async () => {
  const plain = tinyLlama({ layers: 1 });
  const merge = (name: string, parts: readonly string[]) => {
    const found = parts.map((part) => plain.tensors.find((tensor) => tensor.name === part)!);
    const rows = found.reduce((sum, { shape }) => sum + Number(shape[1]), 0);
    return {
      ...found[0]!,
      name,
      shape: [64, rows],
      data: Buffer.concat(found.map(({ data }) => data)),
    };
  };
  const apart = ["attn_q", "attn_k", "attn_v", "ffn_gate", "ffn_up"].map((part) => `blk.0.${part}.weight`);
  const tensors = [
    ...plain.tensors.filter(({ name }) => !apart.includes(String(name))),
    merge("blk.0.attn_qkv.weight", apart.slice(0, 3)),
    merge("blk.0.ffn_up.weight", apart.slice(3)),
  ];
  const layer = (await load({ ...plain, tensors })).tensors.layers[0]!;
  const row = 40;
  expect(layer.key.shape).toEqual([64, 32]);
  expect(layer.key.offset).toBe(layer.query.offset + 64 * row);
  expect(layer.value.offset).toBe(layer.key.offset + 32 * row);
  expect(layer.value.byteLength).toBe(32 * row);
  expect(layer.up.offset).toBe(layer.gate.offset + 96 * row);
  const short = tensors.map((tensor) =>
    tensor.name === "blk.0.attn_qkv.weight" ? { ...tensor, shape: [64, 127] } : tensor,
  );
  await expect(load({ ...plain, tensors: short })).rejects.toThrow(
    /"blk.0.attn_qkv.weight" is 64 x 127, the configuration needs 64 x 128/,
  );
});

describe("refuses", () => {
  const cases: [name: string, metadata: Record<string, GgufValue | undefined>, code: string, says: RegExp][] =
    [
      [
        "another family",
        { "general.architecture": text("mamba") },
        "unsupported-architecture",
        /"mamba".*supported: llama/,
      ],
      ["no family", { "general.architecture": undefined }, "bad-model", /general.architecture" is missing/],
      ["a family that is a number", { "general.architecture": u32(1) }, "bad-model", /1 \(u32\).*a string/],
      [
        "a missing size",
        { "llama.embedding_length": undefined },
        "bad-model",
        /embedding_length" is missing/,
      ],
      [
        "no layers",
        { "llama.block_count": u32(0) },
        "bad-model",
        /block_count" is 0 \(u32\).*from 1 to 1024/,
      ],
      [
        "layers that are far too wide",
        { "llama.feed_forward_length": u32(64 * 32 + 32) },
        "bad-model",
        /layers of 2080 values on a hidden size of 64: more than 32 times/,
      ],
      [
        "a context of one token",
        { "llama.context_length": u32(1) },
        "bad-model",
        /context_length" is 1 \(u32\).*from 2/,
      ],
      ["too many layers", { "llama.block_count": u32(4_000_000_000) }, "bad-model", /4000000000/],
      [
        "a negative size",
        { "llama.feed_forward_length": { type: "i32", value: -1 } },
        "bad-model",
        /-1 \(i32\)/,
      ],
      [
        "a size that is a float",
        { "llama.block_count": f32(2) },
        "bad-model",
        /2 \(f32\); it must be an integer/,
      ],
      [
        "sizes by layer",
        { "llama.feed_forward_length": { type: "array", of: "u32", value: [96, 96] } },
        "bad-model",
        /an array of 2 u32/,
      ],
      [
        "heads that do not divide",
        { "llama.attention.head_count": u32(5) },
        "bad-model",
        /5 attention heads/,
      ],
      ["odd heads", { "llama.attention.head_count": u32(6) }, "bad-model", /64 cannot be divided among 6/],
      [
        "kv heads that do not divide",
        { "llama.attention.head_count_kv": u32(3) },
        "bad-model",
        /4 attention heads.*3/,
      ],
      ["odd rotation", { "llama.rope.dimension_count": u32(7) }, "bad-model", /is 7; it must be even/],
      ["too much rotation", { "llama.rope.dimension_count": u32(18) }, "bad-model", /from 1 to 16/],
      [
        "values of another size",
        { "llama.attention.value_length": u32(8) },
        "bad-model",
        /keys of 16 and values of 8/,
      ],
      ["no epsilon", { "llama.attention.layer_norm_rms_epsilon": f32(0) }, "bad-model", /epsilon" is 0/],
      ["a base that is no number", { "llama.rope.freq_base": f32(Number.NaN) }, "bad-model", /NaN/],
      [
        "a base of infinity",
        { "llama.rope.freq_base": f32(Number.POSITIVE_INFINITY) },
        "bad-model",
        /Infinity/,
      ],
      ["another vocabulary", { "llama.vocab_size": u32(41) }, "bad-model", /40 rows.*says 41/],
      [
        "a tokenizer of another size",
        { "tokenizer.ggml.tokens": { type: "array", of: "string", value: ["a"] } },
        "bad-model",
        /the tokenizer has 1 tokens/,
      ],
      [
        "unknown scaling",
        { "llama.rope.scaling.type": text("dynamic") },
        "unsupported-architecture",
        /scaling.type" is "dynamic"; supported: none, linear, yarn, longrope/,
      ],
      [
        "a factor that shortens",
        { "llama.rope.scaling.factor": f32(0.5) },
        "bad-model",
        /factor" is 0.5.*from 1 to 65536/,
      ],
      [
        "an original context that is longer",
        {
          "llama.rope.scaling.type": text("yarn"),
          "llama.rope.scaling.original_context_length": u32(1024),
        },
        "bad-model",
        /original_context_length" is 1024.*from 2 to 512/,
      ],
      [
        "an amplitude of nothing",
        { "llama.rope.scaling.type": text("yarn"), "llama.rope.scaling.yarn_attn_factor": f32(0) },
        "bad-model",
        /yarn_attn_factor" is 0/,
      ],
      [
        "YaRN's other amplitude",
        { "llama.rope.scaling.yarn_log_multiplier": f32(0.1) },
        "unsupported-architecture",
        /yarn_log_multiplier" is 0.1/,
      ],
      [
        "longrope without its lists",
        { "llama.rope.scaling.type": text("longrope") },
        "missing-tensor",
        /rope_factors_short.weight/,
      ],
      [
        "a cap that is no number",
        { "llama.final_logit_softcapping": f32(Number.NaN) },
        "bad-model",
        /final_logit_softcapping" is NaN/,
      ],
      [
        "a window from behind",
        { "llama.attention.sliding_window": { type: "i32", value: -5 } },
        "bad-model",
        /sliding_window" is -5/,
      ],
      [
        "windows for other layers",
        {
          "llama.attention.sliding_window": u32(4),
          "llama.attention.sliding_window_pattern": { type: "array", of: "bool", value: [true] },
        },
        "bad-model",
        /has 1 entries; it must have one for each of 2 layers/,
      ],
      [
        "windows of another type",
        { "llama.attention.sliding_window_pattern": { type: "array", of: "u32", value: [1, 0] } },
        "bad-model",
        /array of 2 u32.*array of booleans/,
      ],
      ["experts", { "llama.expert_count": u32(8) }, "unsupported-architecture", /expert_count" is 8/],
      ["a part of a model", { "split.count": { type: "u16", value: 3 } }, "bad-model", /merge/],
    ];

  test.each(cases)("%s", async (_, metadata, code, says) => {
    const failed = load(tinyLlama({ metadata }));
    await expect(failed).rejects.toThrow(says);
    await expect(failed).rejects.toMatchObject({ code });
  });

  test("a missing tensor, a foreign one, a wrong shape, a type it cannot compute with", async () => {
    const file = tinyLlama();
    const without = (name: string) => ({
      ...file,
      tensors: file.tensors.filter((tensor) => tensor.name !== name),
    });
    for (const name of ["token_embd.weight", "blk.1.ffn_up.weight", "output_norm.weight"]) {
      const failed = load(without(name));
      await expect(failed).rejects.toThrow(`"${name}"`);
      await expect(failed).rejects.toMatchObject({ code: "missing-tensor" });
    }
    const foreign = { name: "blk.0.attn_sinks.weight", type: 0, shape: [8], data: new Uint8Array(32) };
    const extended = load({ ...file, tensors: [...file.tensors, foreign] });
    await expect(extended).rejects.toThrow(/"blk.0.attn_sinks.weight" has no place/);
    const factors = { name: "rope_freqs.weight", type: 0, shape: [7], data: new Uint8Array(28) };
    await expect(load({ ...file, tensors: [...file.tensors, factors] })).rejects.toThrow(
      /"rope_freqs.weight" is 7, the configuration needs 8/,
    );
    const bias = { name: "blk.0.attn_k.bias", type: 0, shape: [64], data: new Uint8Array(256) };
    await expect(load({ ...file, tensors: [...file.tensors, bias] })).rejects.toThrow(
      /"blk.0.attn_k.bias" is 64, the configuration needs 32/,
    );

    const reshaped = load(tinyLlama({ metadata: { "llama.feed_forward_length": u32(128) } }));
    await expect(reshaped).rejects.toThrow(
      /"blk.0.ffn_gate.weight" is 64 x 96, the configuration needs 64 x 128/,
    );
    await expect(reshaped).rejects.toMatchObject({ code: "bad-model" });

    const exotic = load(tinyLlama({ matrixType: "MXFP4" }));
    await expect(exotic).rejects.toThrow(
      /"token_embd.weight" is of type MXFP4; supported for it: F32, F16, BF16, Q4_0/,
    );
    await expect(exotic).rejects.toMatchObject({ code: "unsupported-weight-type" });
  });
});
