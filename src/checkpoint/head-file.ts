/**
 * @file Reads the file of a draft head (`training/eagle/README.md` has the format) and checks that it belongs to a target. Nothing
 * in it is trusted: sizes, shapes and token ids that contradict each other or the target end in an EspalierError.
 */

import { EspalierError } from "../errors.ts";
import { fingerprint } from "../text/fingerprint.ts";
import type { ModelConfig } from "./config.ts";
import { matrixTypes } from "./ggml-types.ts";
import type { Gguf } from "./gguf.ts";
import { describeText } from "./gguf-value.ts";
import { Metadata } from "./metadata.ts";
import type { LayerTensors } from "./model-tensors.ts";
import type { RopeConfig } from "./rope.ts";
import type { TensorFile, TensorInfo } from "./tensor-table.ts";

export const headArchitecture = "espalier-eagle";

/** What feeds a head: the last hidden state (EAGLE, arXiv:2401.15077), or several fused ones (EAGLE-3, arXiv:2503.01840). */
export const headKinds = ["eagle-1", "eagle-fused"] as const;

/** One layer that reads states of a target and guesses its tokens. */
export interface BlockConfig {
  readonly name: string;
  /** The target's. */
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  readonly normEpsilon: number;
  readonly ropeBase: number;
  readonly ropeOrder: RopeConfig["order"];
  /** Positions that a row attends to, its own the last of them; undefined: all. Behind longer texts than it learnt from, a layer is better off without the rest. */
  readonly window: number | undefined;
  /** The target's layers after which the hidden state is read, ascending. */
  readonly taps: readonly number[];
  /** The target's token of each output, all different. */
  readonly draftVocab: Int32Array;
}

/** It has one tap in kind "eagle-1". */
export interface HeadConfig extends BlockConfig {
  readonly kind: (typeof headKinds)[number];
  /** The target's states are normed or fused before they are features. */
  readonly fuses: boolean;
  /** Query, key and value read token and feature side by side (EAGLE-3): there is no matrix that joins the two. */
  readonly wide: boolean;
  /** Tokens of the text that are not in `draftVocab` are guessed too, with the target's own rows of the output matrix. */
  readonly textRows: boolean;
}

/** What is undefined is left out. */
export interface HeadTensors {
  /** "target": the target's final norm. */
  readonly fuseNorm: TensorInfo | "target" | undefined;
  readonly fuse: TensorInfo | undefined;
  readonly tokenNorm: TensorInfo | undefined;
  readonly featureNorm: TensorInfo | undefined;
  readonly join: TensorInfo | undefined;
  readonly joinBias: TensorInfo | undefined;
  readonly layer: LayerTensors;
  readonly outputNorm: TensorInfo | undefined;
  /** "target": the target's own. */
  readonly output: TensorInfo | "target";
}

/** What a head must agree with. */
export interface HeadTarget {
  readonly config: ModelConfig;
  /** The texts of its vocabulary, by id. */
  readonly tokens: readonly string[];
}

const most = { size: 65_536, feed: 1_048_576, heads: 1024, parts: 8, window: 2 ** 30 };

/** Throws EspalierError "bad-model" for a file that is no head or contradicts itself, "wrong-head" for the head of another target. */
export function readHeadConfig(gguf: Gguf, target: HeadTarget): HeadConfig {
  const metadata = new Metadata(gguf);
  const key = (name: string) => `${headArchitecture}.${name}`;
  const architecture = metadata.string("general.architecture");
  if (architecture !== headArchitecture) {
    throw metadata.bad(
      `this is no draft head: its architecture is ${describeText(architecture ?? "")}, a head's is "${headArchitecture}"`,
    );
  }
  const kindName = metadata.string(key("kind"));
  const kind = headKinds.find((known) => known === kindName);
  if (kind === undefined) {
    throw metadata.bad(`a head of kind ${describeText(kindName ?? "")}; supported: ${headKinds.join(", ")}`);
  }
  checkTarget(gguf, headArchitecture, target, "a draft head");
  return {
    ...readBlockConfig(metadata, headArchitecture, target),
    kind,
    fuses: kind === "eagle-fused",
    wide: false,
    textRows: metadata.boolean(key("text_rows"), false),
    taps: readTaps(metadata, key("taps"), kind, target.config.layers),
  };
}

/** What heads of all kinds say of their layer. */
export function readBlockConfig(
  metadata: Metadata,
  architecture: string,
  target: HeadTarget,
): Omit<BlockConfig, "taps"> {
  const key = (name: string) => `${architecture}.${name}`;
  const count = (name: string, max: number) => metadata.integer(key(name), { min: 1, max });
  const { hiddenSize, vocabSize } = target.config;
  if (count("embedding_length", most.size) !== hiddenSize)
    throw metadata.bad("its own hidden size is not its target's");
  if (count("block_count", 1024) !== 1) throw metadata.bad("a head has one layer");
  const heads = count("attention.head_count", most.heads);
  const kvHeads = count("attention.head_count_kv", most.heads);
  if (heads % kvHeads !== 0) {
    throw metadata.bad(`${heads} attention heads cannot share ${kvHeads} key and value heads`);
  }
  return {
    name: metadata.string("general.name") ?? architecture,
    hiddenSize,
    feedForwardSize: count("feed_forward_length", most.feed),
    heads,
    kvHeads,
    headSize: count("attention.key_length", 1024),
    normEpsilon: metadata.float(key("attention.layer_norm_rms_epsilon"), { min: 1e-12, max: 0.1 }),
    ropeBase: metadata.float(key("rope.freq_base"), { min: 1, max: 1e12 }),
    ropeOrder: "normal",
    window: metadata.integer(key("attention.sliding_window"), { min: 1, max: most.window }, 0) || undefined,
    draftVocab: readDraftVocab(metadata, key("draft_vocab"), vocabSize),
  };
}

/** Throws EspalierError "wrong-head" unless the file, `what` by its kind, says that it was made for `target`. */
export function checkTarget(
  gguf: Gguf,
  architecture: string,
  { config, tokens }: HeadTarget,
  what: string,
): void {
  const metadata = new Metadata(gguf);
  const key = (name: string) => `${architecture}.target.${name}`;
  const range = { min: 1, max: 4_194_304 };
  const facts = [
    ["layers", metadata.integer(key("block_count"), range), config.layers],
    ["hidden size", metadata.integer(key("embedding_length"), range), config.hiddenSize],
    ["vocabulary size", metadata.integer(key("vocab_size"), range), config.vocabSize],
  ] as const;
  const named = metadata.string(key("name"));
  const name = named === undefined ? "another model" : describeText(named);
  const wrong = (detail: string) =>
    new EspalierError(
      "wrong-head",
      `${gguf.path} is ${what} for ${name} (${detail}); give one that was trained for this model`,
    );
  for (const [what, wanted, given] of facts) {
    if (wanted !== given) throw wrong(`${what} ${wanted}, this one has ${given}`);
  }
  if (metadata.string(key("tokens_sha256")) !== fingerprint(tokens)) throw wrong("other tokens");
}

function readTaps(
  metadata: Metadata,
  key: string,
  kind: HeadConfig["kind"],
  layers: number,
): readonly number[] {
  const taps = metadata.integers(key);
  const parts =
    kind === "eagle-1" ? taps?.length === 1 : taps && taps.length > 1 && taps.length <= most.parts;
  if (!taps || !parts || taps.some((tap, i) => tap < 0 || tap > layers || tap <= (taps[i - 1] ?? -1))) {
    throw metadata.bad(
      `metadata "${key}" is [${taps?.slice(0, 10).join(", ")}]; it must name layers of the target, ascending, one for "eagle-1" and 2 to ${most.parts} else`,
    );
  }
  return taps;
}

function readDraftVocab(metadata: Metadata, key: string, vocabSize: number): Int32Array {
  const tokens = Int32Array.from(metadata.integers(key) ?? []);
  const seen = new Uint8Array(vocabSize);
  for (const token of tokens) {
    if (!(token >= 0 && token < vocabSize) || seen[token]) {
      throw metadata.bad(`metadata "${key}" has token ${token} twice, or beyond the target's ${vocabSize}`);
    }
    seen[token] = 1;
  }
  if (tokens.length === 0) throw metadata.bad(`metadata "${key}" is missing or empty`);
  return tokens;
}

/** Finds every weight. Throws EspalierError "missing-tensor", "unsupported-weight-type", or "bad-model" for a wrong shape. */
export function findHeadTensors(gguf: Gguf, config: HeadConfig): HeadTensors {
  const { hiddenSize, taps } = config;
  const { matrix, norm } = finders(gguf, hiddenSize);
  const fused = config.kind === "eagle-fused";
  return {
    fuseNorm: fused ? norm("fuse_norm", taps.length * hiddenSize) : undefined,
    fuse: fused ? matrix("fuse", taps.length * hiddenSize, hiddenSize) : undefined,
    tokenNorm: norm("embd_norm"),
    featureNorm: norm("feature_norm"),
    join: matrix("fc", 2 * hiddenSize, hiddenSize),
    joinBias: undefined,
    ...findBlockTensors(gguf, config),
    output: matrix("output", hiddenSize, config.draftVocab.length),
  };
}

/** The layer of a head of any kind, and the norm behind it. Throws as {@link findHeadTensors} does. */
export function findBlockTensors(
  gguf: Gguf,
  config: Omit<BlockConfig, "taps">,
): { readonly layer: LayerTensors; readonly outputNorm: TensorInfo } {
  const { hiddenSize, feedForwardSize } = config;
  const queryRows = config.heads * config.headSize;
  const keyRows = config.kvHeads * config.headSize;
  const { matrix, norm } = finders(gguf, hiddenSize);
  return {
    layer: {
      attentionNorm: norm("blk.0.attn_norm"),
      query: matrix("blk.0.attn_q", hiddenSize, queryRows),
      key: matrix("blk.0.attn_k", hiddenSize, keyRows),
      value: matrix("blk.0.attn_v", hiddenSize, keyRows),
      output: matrix("blk.0.attn_output", queryRows, hiddenSize),
      feedForwardNorm: norm("blk.0.ffn_norm"),
      gate: matrix("blk.0.ffn_gate", hiddenSize, feedForwardSize),
      up: matrix("blk.0.ffn_up", hiddenSize, feedForwardSize),
      down: matrix("blk.0.ffn_down", feedForwardSize, hiddenSize),
    },
    outputNorm: norm("output_norm"),
  };
}

function finders(gguf: Gguf, hiddenSize: number) {
  const find = (name: string, shape: readonly number[], types: readonly string[]) =>
    findTensor(gguf, `${name}.weight`, shape, types);
  return {
    matrix: (name: string, columns: number, rows: number) => find(name, [columns, rows], matrixTypes),
    norm: (name: string, size = hiddenSize) => find(name, [size], ["F32"]),
  };
}

/** The tensor of that name. Throws EspalierError "missing-tensor", "unsupported-weight-type", or "bad-model" for a wrong shape. */
export function findTensor(
  { path, tensors }: Pick<TensorFile, "path" | "tensors">,
  name: string,
  shape: readonly number[],
  types: readonly string[],
): TensorInfo {
  const tensor = tensors.get(name);
  if (tensor === undefined) {
    throw new EspalierError("missing-tensor", `${path}: there is no tensor "${name}"`);
  }
  const actual = tensor.shape.filter((size, axis) => size !== 1 || axis === 0);
  if (actual.length !== shape.length || actual.some((size, axis) => size !== shape[axis])) {
    throw new EspalierError(
      "bad-model",
      `${path}: tensor "${name}" is ${tensor.shape.join(" x ")}, a head like this needs ${shape.join(" x ")}`,
    );
  }
  if (!types.includes(tensor.type.name)) {
    throw new EspalierError(
      "unsupported-weight-type",
      `${path}: tensor "${name}" is of type ${tensor.type.name}; supported for it: ${types.join(", ")}`,
    );
  }
  return tensor;
}
