/**
 * @file Draft heads as they are published: a folder with config.json and model.safetensors, in the layout of the first EAGLE
 * (arXiv:2401.15077) or of EAGLE-3 (arXiv:2503.01840). They bring no tokens, so sizes are all that can be compared with the target.
 *
 * EAGLE-1: the target's last state after its final norm is the feature; token and feature are joined as they are; the layer has no norm
 * before attention; its output goes to the target's own output matrix, without a norm.
 * EAGLE-3: three of the target's states are fused; attention reads the normed token and the normed feature side by side and adds to the
 * feature; norm, output matrix and vocabulary (as differences d2t) are the head's own.
 */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";
import { matrixTypes, vectorTypes } from "./ggml-types.ts";
import { findTensor, type HeadConfig, type HeadTarget, type HeadTensors } from "./head-file.ts";
import { openSafetensors } from "./safetensors.ts";
import type { TensorFile, TensorInfo } from "./tensor-table.ts";

/** An open head: its file, what it is, and its weights. */
export interface OpenHead {
  readonly file: TensorFile;
  readonly config: HeadConfig;
  readonly tensors: HeadTensors;
}

/**
 * Opens the head in `folder`. Throws EspalierError "file-not-found", "damaged-file", "bad-model" for a configuration that makes no
 * sense or that this version cannot follow, "wrong-head" for one of another target, and what {@link findTensor} throws.
 */
export async function openPublishedHead(folder: string, target: HeadTarget): Promise<OpenHead> {
  const settings = new Settings(join(folder, "config.json"), await readSettings(join(folder, "config.json")));
  const file = await openSafetensors(join(folder, "model.safetensors"));
  try {
    const wide = file.tensors.has("midlayer.self_attn.q_proj.weight");
    const config = await readConfig(folder, settings, file, target, wide);
    return { file, config, tensors: wide ? wideTensors(file, config) : plainTensors(file, config) };
  } catch (error) {
    await file[Symbol.asyncDispose]();
    throw error;
  }
}

async function readSettings(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new EspalierError(
      "file-not-found",
      `${path} cannot be read; a published head is a folder with config.json and model.safetensors`,
      { cause },
    );
  }
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EspalierError("damaged-file", `${path} is not JSON`, { cause });
  }
}

class Settings {
  readonly #path: string;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(path: string, values: unknown) {
    this.#path = path;
    if (typeof values !== "object" || values === null || Array.isArray(values)) {
      throw this.bad("it is no JSON object");
    }
    this.#values = values as Record<string, unknown>;
  }

  bad(problem: string): EspalierError {
    return new EspalierError("bad-model", `${this.#path}: ${problem}`);
  }

  get(key: string): unknown {
    return this.#values[key];
  }

  count(key: string, most: number, fallback?: number): number {
    const value = this.#values[key] ?? fallback;
    if (Number.isInteger(value) && (value as number) >= 1 && (value as number) <= most)
      return value as number;
    throw this.bad(`"${key}" is ${JSON.stringify(value)}; it must be an integer from 1 to ${most}`);
  }

  number(key: string, min: number, max: number, fallback?: number): number {
    const value = this.#values[key] ?? fallback;
    if (typeof value === "number" && value >= min && value <= max) return value;
    throw this.bad(`"${key}" is ${JSON.stringify(value)}; it must be a number from ${min} to ${max}`);
  }
}

async function readConfig(
  folder: string,
  settings: Settings,
  file: TensorFile,
  { config: target }: HeadTarget,
  wide: boolean,
): Promise<HeadConfig> {
  const { layers, vocabSize } = target;
  const hiddenSize = settings.count("hidden_size", 65_536);
  const facts = [
    ["hidden size", hiddenSize, target.hiddenSize],
    ["hidden size", settings.count("target_hidden_size", 65_536, hiddenSize), target.hiddenSize],
    ["vocabulary size", settings.count("vocab_size", 4_194_304), vocabSize],
  ] as const;
  for (const [what, wanted, given] of facts) {
    if (wanted === given) continue;
    throw new EspalierError(
      "wrong-head",
      `${folder} is a draft head for another model (${what} ${wanted}, this one has ${given}); give one that was trained for this model`,
    );
  }
  if (settings.count("num_hidden_layers", 1024, 1) !== 1)
    throw settings.bad("the head has more than one layer");
  const activation = settings.get("hidden_act") ?? "silu";
  if (activation !== "silu")
    throw settings.bad(`"hidden_act" is ${JSON.stringify(activation)}; supported: "silu"`);
  if ((settings.get("rope_scaling") ?? null) !== null)
    throw settings.bad('"rope_scaling" is not supported for heads');
  const heads = settings.count("num_attention_heads", 1024);
  const kvHeads = settings.count("num_key_value_heads", 1024, heads);
  if (heads % kvHeads !== 0)
    throw settings.bad(`${heads} attention heads cannot share ${kvHeads} key and value heads`);
  if (wide && layers < 6)
    throw settings.bad(`it reads states of three places, the model has ${layers} layers`);
  return {
    kind: wide ? "eagle-fused" : "eagle-1",
    name: wide ? "EAGLE-3" : "EAGLE",
    fuses: true,
    wide,
    window: undefined,
    hiddenSize,
    feedForwardSize: settings.count("intermediate_size", 1_048_576),
    heads,
    kvHeads,
    headSize: settings.count("head_dim", 1024, Math.floor(hiddenSize / heads)),
    normEpsilon: settings.number("rms_norm_eps", 1e-12, 0.1, 1e-6),
    ropeBase: settings.number("rope_theta", 1, 1e12, 10_000),
    ropeOrder: "neox",
    taps: wide ? [2, layers >> 1, layers - 3] : [layers],
    draftVocab: await readVocabulary(settings, file, vocabSize, wide),
    textRows: false,
  };
}

/** The target's token of each output: all, or, where there is "d2t", token i + d2t[i] of output i. */
async function readVocabulary(
  settings: Settings,
  file: TensorFile,
  vocabSize: number,
  wide: boolean,
): Promise<Int32Array> {
  const size = wide ? settings.count("draft_vocab_size", vocabSize, vocabSize) : vocabSize;
  const tokens = Int32Array.from({ length: size }, (_, i) => i);
  if (!wide || !file.tensors.has("d2t")) {
    if (size !== vocabSize)
      throw settings.bad("the draft vocabulary is smaller than the model's, but there is no d2t");
    return tokens;
  }
  const bytes = new Uint8Array(8 * size);
  await file.read(findTensor(file, "d2t", [size], ["I64"]), bytes);
  const view = new DataView(bytes.buffer);
  const seen = new Uint8Array(vocabSize);
  for (const i of tokens.keys()) {
    const token = i + Number(view.getBigInt64(8 * i, true));
    if (!(token >= 0 && token < vocabSize) || seen[token]) {
      throw new EspalierError(
        "bad-model",
        `${file.path}: tensor "d2t" has token ${token} twice, or beyond the model's ${vocabSize}`,
      );
    }
    seen[token] = 1;
    tokens[i] = token;
  }
  return tokens;
}

function plainTensors(file: TensorFile, config: HeadConfig): HeadTensors {
  const { hiddenSize } = config;
  return {
    ...without,
    fuseNorm: "target",
    join: matrix(file, "fc", 2 * hiddenSize, hiddenSize),
    joinBias: file.tensors.has("fc.bias") ? vector(file, "fc.bias", hiddenSize) : undefined,
    layer: layerTensors(file, "layers.0", config),
    output: "target",
  };
}

function wideTensors(file: TensorFile, config: HeadConfig): HeadTensors {
  const { hiddenSize, taps } = config;
  return {
    ...without,
    fuse: matrix(file, "fc", taps.length * hiddenSize, hiddenSize),
    tokenNorm: vector(file, "midlayer.input_layernorm.weight", hiddenSize),
    featureNorm: vector(file, "midlayer.hidden_norm.weight", hiddenSize),
    layer: layerTensors(file, "midlayer", config),
    outputNorm: vector(file, "norm.weight", hiddenSize),
    output: matrix(file, "lm_head", hiddenSize, config.draftVocab.length),
  };
}

const without = {
  fuseNorm: undefined,
  fuse: undefined,
  tokenNorm: undefined,
  featureNorm: undefined,
  join: undefined,
  joinBias: undefined,
  outputNorm: undefined,
};

function layerTensors(file: TensorFile, prefix: string, config: HeadConfig): HeadTensors["layer"] {
  const { hiddenSize, feedForwardSize } = config;
  const [query, key] = [config.heads * config.headSize, config.kvHeads * config.headSize];
  const seen = config.wide ? 2 * hiddenSize : hiddenSize;
  const bias = (name: string, size: number) =>
    file.tensors.has(`${prefix}.self_attn.${name}.bias`)
      ? vector(file, `${prefix}.self_attn.${name}.bias`, size)
      : undefined;
  return {
    attentionNorm: undefined,
    query: matrix(file, `${prefix}.self_attn.q_proj`, seen, query),
    key: matrix(file, `${prefix}.self_attn.k_proj`, seen, key),
    value: matrix(file, `${prefix}.self_attn.v_proj`, seen, key),
    output: matrix(file, `${prefix}.self_attn.o_proj`, query, hiddenSize),
    queryBias: bias("q_proj", query),
    keyBias: bias("k_proj", key),
    valueBias: bias("v_proj", key),
    feedForwardNorm: vector(file, `${prefix}.post_attention_layernorm.weight`, hiddenSize),
    gate: matrix(file, `${prefix}.mlp.gate_proj`, hiddenSize, feedForwardSize),
    up: matrix(file, `${prefix}.mlp.up_proj`, hiddenSize, feedForwardSize),
    down: matrix(file, `${prefix}.mlp.down_proj`, feedForwardSize, hiddenSize),
  };
}

function matrix(file: TensorFile, name: string, columns: number, rows: number): TensorInfo {
  return findTensor(file, `${name}.weight`, [columns, rows], matrixTypes);
}

function vector(file: TensorFile, name: string, size: number): TensorInfo {
  return findTensor(file, name, [size], vectorTypes);
}
