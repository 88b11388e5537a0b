/**
 * @file Reads the file of a length predictor (`training/ldlp/README.md` has the format) and checks that it belongs to a target and
 * to what drafts for it. Nothing in it is trusted: what contradicts itself or them ends in an EspalierError.
 */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { EspalierError } from "../errors.ts";
import { vectorTypes } from "./ggml-types.ts";
import type { Gguf } from "./gguf.ts";
import { describeText } from "./gguf-value.ts";
import { checkTarget, type HeadTarget } from "./head-file.ts";
import { Metadata } from "./metadata.ts";
import type { TensorInfo } from "./tensor-table.ts";

export const ldlpArchitecture = "espalier-ldlp";

export interface LdlpConfig {
  /** Values between the layers, a multiple of 32. */
  readonly width: number;
  /** The longest draft it predicts. */
  readonly longest: number;
}

/** A layer's matrix (outputs x inputs) and bias. */
export interface LdlpLayer {
  readonly weight: TensorInfo;
  readonly bias: TensorInfo;
}

export interface LdlpTensors {
  /** width x (2 * hiddenSize): the embedding's columns first. */
  readonly input: LdlpLayer;
  /** width x width */
  readonly blocks: readonly [LdlpLayer, LdlpLayer];
  /** 1 x width */
  readonly output: LdlpLayer;
}

const BLOCK = 32;
const most = { width: 8192, longest: 64 };

/**
 * Throws EspalierError "bad-model" for a file that is no length predictor or contradicts itself, "wrong-head" for one of another
 * target, or of another draft head or model than the file `drafts`.
 */
export async function readLdlpConfig(gguf: Gguf, target: HeadTarget, drafts: string): Promise<LdlpConfig> {
  const metadata = new Metadata(gguf);
  const key = (name: string) => `${ldlpArchitecture}.${name}`;
  const architecture = metadata.string("general.architecture");
  if (architecture !== ldlpArchitecture) {
    throw metadata.bad(
      `this is no length predictor: its architecture is ${describeText(architecture ?? "")}, a predictor's is "${ldlpArchitecture}"`,
    );
  }
  checkTarget(gguf, ldlpArchitecture, target, "a length predictor");
  const hiddenSize = metadata.integer(key("embedding_length"), { min: 1, max: target.config.hiddenSize });
  if (hiddenSize !== target.config.hiddenSize) throw metadata.bad("its hidden size is not its target's");
  const width = metadata.integer(key("width"), { min: BLOCK, max: most.width });
  if (width % BLOCK !== 0)
    throw metadata.bad(`metadata "${key("width")}" is ${width}; it must be a multiple of ${BLOCK}`);
  if (metadata.string(key("head.sha256")) !== (await hashFile(drafts))) {
    throw new EspalierError(
      "wrong-head",
      `${gguf.path} predicts for another draft head than ${drafts}; give the one that was trained with it`,
    );
  }
  return { width, longest: metadata.integer(key("k_max"), { min: 1, max: most.longest }) };
}

/** Hex SHA-256 of a file's bytes. */
async function hashFile(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const part of createReadStream(path)) hash.update(part as Uint8Array);
  return hash.digest("hex");
}

/** Finds every weight. Throws EspalierError "missing-tensor", "unsupported-weight-type", or "bad-model" for a wrong shape. */
export function findLdlpTensors(gguf: Gguf, { width }: LdlpConfig, hiddenSize: number): LdlpTensors {
  function find(name: string, columns: number, rows: number): TensorInfo {
    const tensor = gguf.tensors.get(name);
    if (tensor === undefined) {
      throw new EspalierError("missing-tensor", `${gguf.path}: there is no tensor "${name}"`);
    }
    const [actual, ...others] = tensor.shape;
    if (actual !== columns || others.reduce((product, size) => product * size, 1) !== rows) {
      throw new EspalierError(
        "bad-model",
        `${gguf.path}: tensor "${name}" is ${tensor.shape.join(" x ")}, a predictor like this needs ${columns} x ${rows}`,
      );
    }
    if (!vectorTypes.includes(tensor.type.name)) {
      throw new EspalierError(
        "unsupported-weight-type",
        `${gguf.path}: tensor "${name}" is of type ${tensor.type.name}; supported for it: ${vectorTypes.join(", ")}`,
      );
    }
    return tensor;
  }
  const layer = (name: string, columns: number, rows: number): LdlpLayer => ({
    weight: find(`${name}.weight`, columns, rows),
    bias: find(`${name}.bias`, rows, 1),
  });
  return {
    input: layer("in", 2 * hiddenSize, width),
    blocks: [layer("blk.0", width, width), layer("blk.1", width, width)],
    output: layer("out", width, 1),
  };
}
