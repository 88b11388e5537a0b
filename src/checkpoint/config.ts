/** @file What the engine must know of a model besides its weights, read from GGUF metadata with every value checked. */

import { EspalierError } from "../errors.ts";
import { type Architecture, type ArchitectureTraits, architectures } from "./architectures.ts";
import type { Gguf } from "./gguf.ts";
import { describeValue } from "./gguf-value.ts";
import { Metadata } from "./metadata.ts";
import { type RopeConfig, readRopeScaling } from "./rope.ts";

export interface ModelConfig {
  readonly architecture: Architecture;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  /** Turns layers with a window; undefined: `rope` turns them too. */
  readonly localRope: RopeConfig | undefined;
  /** Positions that a token sees in each layer, itself included; undefined: all. */
  readonly windows: readonly (number | undefined)[];
  /** Each head's query and key is normed before it turns. */
  readonly headNorms: boolean;
  /** What attention and feed-forward add is normed first. */
  readonly postNorms: boolean;
  /** What opens the feed-forward's gate. */
  readonly activation: "silu" | "gelu";
  /** What embedded tokens are multiplied by. */
  readonly embeddingScale: number;
  /** What the product of a query and a key is multiplied by. */
  readonly attentionScale: number;
  /** A score or logit x becomes cap * tanh(x / cap). */
  readonly attentionCap: number | undefined;
  readonly logitCap: number | undefined;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
}

/**
 * Far above any model of today, and low enough that the product of any three (a matrix, a cache) stays an exact
 * integer in a double and in 64 bits.
 */
const most = {
  layers: 1024,
  hiddenSize: 65_536,
  feedForwardSize: 1_048_576,
  heads: 1024,
  headSize: 1024,
  vocabSize: 4_194_304,
  contextLength: 16_777_216,
};

/** Above 1, so that later pairs turn slower. */
const ropeBases = { min: 1.001, max: 1e12 };

/**
 * Heads and feed-forward layers are up to 8 times as wide as the hidden size. A pass keeps a hundred rows of them, which in a
 * file of very wide and very short matrices would be many times its size.
 */
const mostWidening = 32;

/** Keys that change the numbers in a way the engine does not know, with the value that changes nothing. */
const neutral: Readonly<Record<string, number | boolean | string>> = {
  "rope.scaling.yarn_log_multiplier": 0,
  "rope.scaling.yarn_ext_factor": 1,
  "attention.causal": true,
  "attention.clamp_kqv": 0,
  "attention.max_alibi_bias": 0,
  "attention.scale": 0,
  embedding_scale: 1,
  residual_scale: 1,
  logit_scale: 1,
  expert_count: 0,
};

/**
 * Reads and checks the configuration. Throws EspalierError "unsupported-architecture" for a family or a feature the
 * engine does not have, "missing-tensor" without an embedding, "bad-model" for values that are missing or make no sense.
 */
export function readConfig(gguf: Gguf): ModelConfig {
  const metadata = new Metadata(gguf);
  const architecture = readArchitecture(gguf, metadata);
  const traits: ArchitectureTraits = architectures[architecture];
  const key = (name: string) => `${architecture}.${name}`;
  const count = (name: string, max: number, fallback?: number) =>
    metadata.integer(key(name), { min: 1, max }, fallback);

  refuseUnknownFeatures(gguf, architecture);
  const hiddenSize = count("embedding_length", most.hiddenSize);
  const heads = count("attention.head_count", most.heads);
  const kvHeads = count("attention.head_count_kv", most.heads, heads);
  if (heads % kvHeads !== 0) {
    throw metadata.bad(`${heads} attention heads cannot share ${kvHeads} key and value heads`);
  }
  const headSize = readHeadSize(metadata, key, hiddenSize, heads);
  const feedForwardSize = count("feed_forward_length", most.feedForwardSize);
  const widest = Math.max(feedForwardSize, heads * headSize);
  if (widest > mostWidening * hiddenSize) {
    throw metadata.bad(
      `layers of ${widest} values on a hidden size of ${hiddenSize}: more than ${mostWidening} times as many`,
    );
  }
  const layers = count("block_count", most.layers);
  const ropeDims = count("rope.dimension_count", headSize, headSize);
  if (ropeDims % 2 !== 0)
    throw metadata.bad(`metadata "${key("rope.dimension_count")}" is ${ropeDims}; it must be even`);

  const rope: RopeConfig = {
    order: traits.ropeOrder,
    dims: ropeDims,
    base: metadata.float(key("rope.freq_base"), ropeBases, 10_000),
    scaling: readRopeScaling(metadata, key, gguf.tensors.has("rope_factors_long.weight")),
  };
  return {
    architecture,
    layers,
    hiddenSize,
    feedForwardSize,
    heads,
    kvHeads,
    headSize,
    vocabSize: readVocabSize(gguf, metadata, key("vocab_size")),
    contextLength: metadata.integer(key("context_length"), { min: 2, max: most.contextLength }),
    normEpsilon: metadata.float(key("attention.layer_norm_rms_epsilon"), { min: 1e-12, max: 0.1 }),
    rope,
    localRope: readLocalRope(metadata, key("rope.freq_base_swa"), rope, traits.localRopeBase),
    windows: readWindows(metadata, key, layers, traits),
    headNorms: traits.headNorms ?? false,
    postNorms: traits.postNorms ?? false,
    activation: traits.activation ?? "silu",
    embeddingScale: traits.scaledEmbedding ? Math.sqrt(hiddenSize) : 1,
    attentionScale: 1 / Math.sqrt(traits.layersScaledByHidden === layers ? hiddenSize / heads : headSize),
    attentionCap: readCap(metadata, key("attn_logit_softcapping"), traits.caps?.attention),
    logitCap: readCap(metadata, key("final_logit_softcapping"), traits.caps?.logits),
    tiedHead: !gguf.tensors.has("output.weight"),
  };
}

function readArchitecture(gguf: Gguf, metadata: Metadata): Architecture {
  const name = metadata.string("general.architecture");
  if (name === undefined) throw metadata.bad('metadata "general.architecture" is missing');
  if (!Object.hasOwn(architectures, name)) {
    const known = Object.keys(architectures).join(", ");
    throw new EspalierError(
      "unsupported-architecture",
      `${gguf.path}: architecture ${JSON.stringify(name.slice(0, 60))} is not supported; supported: ${known}`,
    );
  }
  if (metadata.integer("split.count", { min: 0, max: 65_535 }, 1) > 1) {
    throw metadata.bad("this is one part of a model that is split over several files; merge them first");
  }
  return name as Architecture;
}

function refuseUnknownFeatures(gguf: Gguf, architecture: Architecture): void {
  for (const [name, harmless] of Object.entries(neutral)) {
    const key = `${architecture}.${name}`;
    const entry = gguf.metadata.get(key);
    if (entry === undefined) continue;
    // As text, because an integer may be stored in 64 bits and then is a bigint.
    if (entry.type !== "array" && String(entry.value) === String(harmless)) continue;
    throw new EspalierError(
      "unsupported-architecture",
      `${gguf.path}: metadata "${key}" is ${describeValue(entry)}; only ${harmless} is supported`,
    );
  }
}

function readHeadSize(
  metadata: Metadata,
  key: (name: string) => string,
  hiddenSize: number,
  heads: number,
): number {
  const stated = metadata.has(key("attention.key_length"));
  if (!stated && hiddenSize % heads !== 0) {
    throw metadata.bad(`a hidden size of ${hiddenSize} cannot be divided among ${heads} heads`);
  }
  const range = { min: 1, max: most.headSize };
  const headSize = metadata.integer(key("attention.key_length"), range, hiddenSize / heads);
  if (headSize > most.headSize)
    throw metadata.bad(`heads of ${headSize} values; ${most.headSize} at most are supported`);
  const valueSize = metadata.integer(key("attention.value_length"), range, headSize);
  if (valueSize !== headSize) {
    throw metadata.bad(`keys of ${headSize} and values of ${valueSize} per head; they must be of one size`);
  }
  return headSize;
}

function readLocalRope(
  metadata: Metadata,
  key: string,
  rope: RopeConfig,
  base: number | undefined,
): RopeConfig | undefined {
  if (base === undefined && !metadata.has(key)) return undefined;
  return { ...rope, base: metadata.float(key, ropeBases, base), scaling: { type: "none" } };
}

/** Which layers have a window: all but each n-th, or as a list says. */
function readWindows(
  metadata: Metadata,
  key: (name: string) => string,
  layers: number,
  traits: ArchitectureTraits,
): (number | undefined)[] {
  const window = metadata.integer(
    key("attention.sliding_window"),
    { min: 0, max: 2 ** 31 - 1 },
    traits.window ?? 0,
  );
  const patternKey = key("attention.sliding_window_pattern");
  const list = metadata.booleans(patternKey);
  if (list && list.length !== layers) {
    throw metadata.bad(
      `metadata "${patternKey}" has ${list.length} entries; it must have one for each of ${layers} layers`,
    );
  }
  const period = list ? 0 : metadata.integer(patternKey, { min: 0, max: most.layers }, traits.fullEvery ?? 0);
  const isLocal = (layer: number) => list?.[layer] ?? (period === 0 || (layer + 1) % period !== 0);
  return Array.from({ length: layers }, (_, layer) => (window > 0 && isLocal(layer) ? window : undefined));
}

/** Undefined where there is none, which files may write as 0. */
function readCap(metadata: Metadata, key: string, fallback = 0): number | undefined {
  return metadata.float(key, { min: 0, max: 65_536 }, fallback) || undefined;
}

/** The rows of the embedding; what the metadata says about the vocabulary must agree with them. */
function readVocabSize(gguf: Gguf, metadata: Metadata, key: string): number {
  const embedding = gguf.tensors.get("token_embd.weight");
  if (embedding === undefined) {
    throw new EspalierError("missing-tensor", `${gguf.path}: there is no tensor "token_embd.weight"`);
  }
  const rows = embedding.shape[1] ?? 1;
  if (rows > most.vocabSize)
    throw metadata.bad(`a vocabulary of ${rows} tokens; ${most.vocabSize} at most are supported`);
  const stated = metadata.integer(key, { min: 1, max: most.vocabSize }, rows);
  const listed = metadata.strings("tokenizer.ggml.tokens")?.length ?? rows;
  if (stated !== rows || listed !== rows) {
    throw metadata.bad(
      `the embedding has ${rows} rows, "${key}" says ${stated} and the tokenizer has ${listed} tokens; they must be equal`,
    );
  }
  return rows;
}
