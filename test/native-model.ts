/** @file Small llamas with random weights on the native engine, for tests. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ModelConfig, readConfig } from "../src/checkpoint/config.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { findTensors } from "../src/checkpoint/model-tensors.ts";
import { engine } from "../src/engine/binding.ts";
import { NativeTarget, type NativeTargetOptions } from "../src/engine/native-target.ts";
import { type ReadOptions, readWeights, type Weights } from "../src/engine/weights.ts";
import { byteVocabulary } from "./byte-vocabulary.ts";
import { type GgufFile, writeGguf } from "./gguf-writer.ts";
import { randomBlocks } from "./random-blocks.ts";
import { type TinyLlama, tinyLlama } from "./tiny-llama.ts";

/** Integers below a limit, made from `seed`; only spread matters here. */
export type Numbers = (below: number) => number;

export function numbers(seed: number): Numbers {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

export function randomTokens(next: Numbers, vocabSize: number, length: number): number[] {
  return Array.from({ length }, () => next(vocabSize));
}

/** Norms near 1 and matrices whose rows are of a length near 1, so that values stay moderate through the layers. */
export function randomLlama(shape: Partial<Omit<TinyLlama, "fill">>, seed: number): GgufFile {
  const next = numbers(seed);
  const { matrixType = "Q4_1" } = shape;
  const fill = (name: string, byteLength: number): Uint8Array => {
    if (name.includes("norm")) {
      const bytes = Buffer.alloc(byteLength);
      for (let at = 0; at < byteLength; at += 4) bytes.writeFloatLE(0.7 + next(600) / 1000, at);
      return bytes;
    }
    return randomBlocks(matrixType, next, byteLength);
  };
  return tinyLlama({ ...shape, fill });
}

/** A random model with a tokenizer that reads any text, and a chat template. */
export function speakingLlama(shape: Partial<Omit<TinyLlama, "fill">> = {}, seed = 1): GgufFile {
  const { tokens, types, merges, bosToken, eosToken } = byteVocabulary(["a b"]);
  const metadata: TinyLlama["metadata"] = {
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: "smollm" },
    "tokenizer.ggml.tokens": { type: "array", of: "string", value: tokens },
    "tokenizer.ggml.token_type": { type: "array", of: "i32", value: types },
    "tokenizer.ggml.merges": { type: "array", of: "string", value: merges },
    "tokenizer.ggml.bos_token_id": { type: "u32", value: bosToken! },
    "tokenizer.ggml.eos_token_id": { type: "u32", value: eosToken! },
    "tokenizer.chat_template": {
      type: "string",
      value: "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}",
    },
    ...shape.metadata,
  };
  return randomLlama({ heads: 2, kvHeads: 1, vocabSize: tokens.length, ...shape, metadata }, seed);
}

/** Puts the file on disk for as long as `use` takes. */
export async function withGguf<Result>(
  file: GgufFile,
  use: (path: string) => Promise<Result>,
): Promise<Result> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-test-"));
  try {
    const path = join(folder, "model.gguf");
    await writeFile(path, writeGguf(file));
    return await use(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** `contextLength`: what is asked for; by default what the model was trained for. */
export async function openWeights(
  path: string,
  contextLength?: number,
  options?: ReadOptions,
): Promise<{ config: ModelConfig; weights: Weights }> {
  await using gguf = await openGguf(path);
  const trained = readConfig(gguf);
  const config = { ...trained, contextLength: contextLength ?? trained.contextLength };
  return { config, weights: await readWeights(engine(), gguf, findTensors(gguf, config), options) };
}

/** A target of the model at `path`. */
export async function openTarget(
  path: string,
  options: NativeTargetOptions & ReadOptions,
): Promise<NativeTarget> {
  const { config, weights } = await openWeights(path, undefined, options);
  return new NativeTarget(engine(), config, weights, options);
}

export function nativeTarget(
  file: GgufFile,
  options: NativeTargetOptions & ReadOptions,
): Promise<NativeTarget> {
  return withGguf(file, (path) => openTarget(path, options));
}
