/** @file `espalier info`: what is in a model's file, read without loading the weights. */

import type { Command } from "commander";
import { embeddedModel } from "../checkpoint/embedded.ts";
import { type Gguf, openGguf } from "../checkpoint/gguf.ts";
import { type Io, writeJson } from "./io.ts";
import { shared } from "./options.ts";
import { table } from "./table.ts";

interface WeightType {
  readonly tensors: number;
  readonly bytes: number;
}

/** What `info --json` prints; null stands for what the file does not say. */
export interface ModelInfo {
  readonly path: string;
  readonly fileSize: number;
  readonly name: string | null;
  readonly architecture: string | null;
  readonly parameters: number;
  readonly layers: number | null;
  readonly hiddenSize: number | null;
  readonly feedForwardSize: number | null;
  readonly heads: number | null;
  readonly kvHeads: number | null;
  readonly vocabSize: number | null;
  readonly contextLength: number | null;
  readonly tokenizer: { readonly model: string; readonly pre: string | null } | null;
  readonly chatTemplate: boolean;
  /** By the type's name in GGUF, most bytes first. */
  readonly weights: Readonly<Record<string, WeightType>>;
}

export function addInfo(program: Command, io: Io): void {
  program
    .command("info")
    .description("Show what is in a model's file: architecture, sizes, weight types, tokenizer.")
    .argument("[model]", "a GGUF file, or the name of a model in the cache", embeddedModel)
    .addOption(shared.json())
    .action(async (model: string, options: { json?: true }) => {
      const info = await readInfo(await io.findModel(model));
      if (options.json) writeJson(info, io);
      else io.stdout.write(show(info));
    });
}

export async function readInfo(path: string): Promise<ModelInfo> {
  const file = await openGguf(path);
  try {
    return describe(file);
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

function describe(file: Gguf): ModelInfo {
  const text = (key: string) => {
    const entry = file.metadata.get(key);
    return entry?.type === "string" ? entry.value : null;
  };
  const architecture = text("general.architecture");
  const number = (key: string) => {
    const value = file.metadata.get(`${architecture}.${key}`)?.value;
    return typeof value === "number" || typeof value === "bigint" ? Number(value) : null;
  };
  const tokens = file.metadata.get("tokenizer.ggml.tokens");
  const tokenizer = text("tokenizer.ggml.model");
  const heads = number("attention.head_count");
  const tensors = [...file.tensors.values()];
  return {
    path: file.path,
    fileSize: file.fileSize,
    name: text("general.name"),
    architecture,
    parameters: tensors.reduce(
      (sum, { shape }) => sum + shape.reduce((product, size) => product * size, 1),
      0,
    ),
    layers: number("block_count"),
    hiddenSize: number("embedding_length"),
    feedForwardSize: number("feed_forward_length"),
    heads,
    kvHeads: number("attention.head_count_kv") ?? heads,
    vocabSize: tokens?.type === "array" ? tokens.value.length : number("vocab_size"),
    contextLength: number("context_length"),
    tokenizer: tokenizer === null ? null : { model: tokenizer, pre: text("tokenizer.ggml.pre") },
    chatTemplate: text("tokenizer.chat_template") !== null,
    weights: countTypes(file),
  };
}

function countTypes(file: Gguf): Record<string, WeightType> {
  const types = new Map<string, WeightType>();
  for (const { type, byteLength } of file.tensors.values()) {
    const before = types.get(type.name) ?? { tensors: 0, bytes: 0 };
    types.set(type.name, { tensors: before.tensors + 1, bytes: before.bytes + byteLength });
  }
  return Object.fromEntries([...types].sort(([, a], [, b]) => b.bytes - a.bytes));
}

function show(info: ModelInfo): string {
  const known = (value: number | string | null) => (value === null ? "not said" : String(value));
  const tokenizer = info.tokenizer;
  const rows = [
    ["name", known(info.name)],
    ["architecture", known(info.architecture)],
    ["parameters", `${(info.parameters / 1e6).toFixed(1)} million`],
    ["layers", known(info.layers)],
    ["hidden size", known(info.hiddenSize)],
    ["feed-forward size", known(info.feedForwardSize)],
    ["heads", `${known(info.heads)}, ${known(info.kvHeads)} of keys and values`],
    ["vocabulary", known(info.vocabSize)],
    ["context", `${known(info.contextLength)} tokens`],
    [
      "tokenizer",
      tokenizer === null ? "missing" : [tokenizer.model, tokenizer.pre].filter(Boolean).join(", "),
    ],
    ["chat template", info.chatTemplate ? "yes" : "no"],
    ["file", `${info.path}, ${megabytes(info.fileSize)}`],
  ];
  const weights = Object.entries(info.weights).map(([type, { tensors, bytes }]) => [
    type,
    String(tensors),
    megabytes(bytes),
  ]);
  return `${table(rows)}\n\n${table([["weights", "tensors", "bytes"], ...weights], { numbersFrom: 1 })}\n`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
