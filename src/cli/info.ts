/** @file `espalier info`: what is in a model's file, read without loading the weights. */

import { stat } from "node:fs/promises";
import type { Command } from "commander";
import { readConfig } from "../checkpoint/config.ts";
import { embeddedModel } from "../checkpoint/embedded.ts";
import { type Gguf, openGguf } from "../checkpoint/gguf.ts";
import type { Environment } from "../checkpoint/model-cache.ts";
import { findTensors } from "../checkpoint/model-tensors.ts";
import type { RopeConfig } from "../checkpoint/rope.ts";
import { readTokenizerSpec } from "../checkpoint/tokenizer-spec.ts";
import { stateFile } from "../engine/state-folder.ts";
import { EspalierError } from "../errors.ts";
import { fingerprint } from "../text/fingerprint.ts";
import { find } from "./find.ts";
import { type Io, writeJson } from "./io.ts";
import { type KnownCosts, knownCosts, showCosts } from "./known-costs.ts";
import { MODEL, shared } from "./options.ts";
import { table } from "./table.ts";

interface WeightType {
  readonly tensors: number;
  readonly bytes: number;
}

/** What the engine must know and the sizes do not tell. */
interface EngineView {
  readonly headSize: number;
  readonly tiedHead: boolean;
  readonly rope: RopeConfig;
  /** Positions that layers with a window see; null where no layer has one. */
  readonly window: number | null;
  readonly layersWithWindow: number;
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
  /** What the engine makes of the file; null when it cannot run it. */
  readonly engine: EngineView | null;
  /** Why the engine cannot run it. */
  readonly problem: string | null;
  readonly vocabSize: number | null;
  readonly contextLength: number | null;
  readonly tokenizer: { readonly model: string; readonly pre: string | null } | null;
  readonly chatTemplate: boolean;
  /** By the type's name in GGUF, most bytes first. */
  readonly weights: Readonly<Record<string, WeightType>>;
  /** Where warm starts keep what is learnt of it, and its bytes, null while nothing is there; null for a file without a tokenizer of ours. */
  readonly learnt: { readonly path: string; readonly bytes: number | null } | null;
  /** What it takes on this machine with the engine's usual settings; null where that is not known: it is measured when the model is loaded. */
  readonly costs: KnownCosts | null;
}

export function addInfo(program: Command, io: Io): void {
  program
    .command("info")
    .description("Show what is in a model's file: architecture, sizes, weight types, tokenizer.")
    .argument("[model]", MODEL, embeddedModel)
    .addOption(shared.json())
    .action(async (model: string, options: { json?: true }) => {
      const info = await readInfo(await find(model, options, io), { name: model, env: io.env });
      if (options.json) writeJson(info, io);
      else io.stdout.write(show(info));
    });
}

export async function readInfo(
  path: string,
  { name = path, env }: { readonly name?: string; readonly env?: Environment } = {},
): Promise<ModelInfo> {
  const file = await openGguf(path);
  try {
    const learnt = await findLearnt(file, env);
    return { ...describe(file), learnt, costs: await findCosts(file, name, env) };
  } finally {
    await file[Symbol.asyncDispose]();
  }
}

function describe(file: Gguf): Omit<ModelInfo, "learnt" | "costs"> {
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
    ...viewOf(file),
    vocabSize: tokens?.type === "array" ? tokens.value.length : number("vocab_size"),
    contextLength: number("context_length"),
    tokenizer: tokenizer === null ? null : { model: tokenizer, pre: text("tokenizer.ggml.pre") },
    chatTemplate: text("tokenizer.chat_template") !== null,
    weights: countTypes(file),
  };
}

function viewOf(file: Gguf): Pick<ModelInfo, "engine" | "problem"> {
  try {
    const config = readConfig(file);
    findTensors(file, config);
    const { headSize, tiedHead, rope } = config;
    const windows = config.windows.filter((window) => window !== undefined);
    const engine = { headSize, tiedHead, rope, window: windows[0] ?? null, layersWithWindow: windows.length };
    return { engine, problem: null };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return { engine: null, problem: error.message };
  }
}

async function findLearnt(file: Gguf, env: Environment | undefined): Promise<ModelInfo["learnt"]> {
  let tokens: readonly string[];
  try {
    tokens = readTokenizerSpec(file).tokens;
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return null;
  }
  const path = stateFile({ ...file, fingerprint: fingerprint(tokens) }, "learnt", [], env);
  return {
    path,
    bytes: await stat(path).then(
      ({ size }) => size,
      () => null,
    ),
  };
}

async function findCosts(file: Gguf, name: string, env: Environment | undefined): Promise<KnownCosts | null> {
  let model: Parameters<typeof knownCosts>[1];
  try {
    model = { config: readConfig(file), tokens: readTokenizerSpec(file).tokens };
  } catch (error) {
    if (!(error instanceof EspalierError)) throw error;
    return null;
  }
  return await knownCosts(file, model, name, env);
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
    ...(info.engine ? engineRows(info.engine) : []),
    ["vocabulary", known(info.vocabSize)],
    ["context", `${known(info.contextLength)} tokens`],
    [
      "tokenizer",
      tokenizer === null ? "missing" : [tokenizer.model, tokenizer.pre].filter(Boolean).join(", "),
    ],
    ["chat template", info.chatTemplate ? "yes" : "no"],
    ["file", `${info.path}, ${megabytes(info.fileSize)}`],
    ...(info.learnt ? [["learnt of it", learntRow(info.learnt)]] : []),
    ...(info.costs || info.problem !== null ? [] : [["takes here", "not measured so far"]]),
    ["runs here", info.problem === null ? "yes" : `no: ${info.problem}`],
  ];
  const weights = Object.entries(info.weights).map(([type, { tensors, bytes }]) => [
    type,
    String(tensors),
    megabytes(bytes),
  ]);
  const blocks = [table(rows), table([["weights", "tensors", "bytes"], ...weights], { numbersFrom: 1 })];
  if (info.costs) blocks.push(showCosts(info.costs));
  return `${blocks.join("\n\n")}\n`;
}

function engineRows({ headSize, tiedHead, rope, window, layersWithWindow }: EngineView): string[][] {
  const { scaling } = rope;
  const stretch = "factor" in scaling ? `, ${scaling.type} ${scaling.factor}` : `, ${scaling.type}`;
  return [
    ["head size", String(headSize)],
    ["rotation", `${rope.order}, base ${rope.base}${scaling.type === "none" ? "" : stretch}`],
    ["window", window === null ? "none" : `${window} tokens, in ${layersWithWindow} layers`],
    ["output", tiedHead ? "by the embedding" : "by a matrix of its own"],
  ];
}

function learntRow({ path, bytes }: NonNullable<ModelInfo["learnt"]>): string {
  return bytes === null ? `nothing so far; kept in ${path}` : `${path}, ${megabytes(bytes)}`;
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
