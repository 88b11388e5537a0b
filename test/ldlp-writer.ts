/** @file Writes files of length predictors with random weights, for tests. */

import { createHash } from "node:crypto";
import { ggmlTypeNamed } from "../src/checkpoint/ggml-types.ts";
import type { GgufFile, GgufValue } from "./gguf-writer.ts";
import { numbers } from "./native-model.ts";

export interface LdlpShape {
  readonly hiddenSize: number;
  readonly layers: number;
  readonly tokens: readonly string[];
  readonly width: number;
  readonly longest: number;
  /** The bytes of the file that drafts. */
  readonly drafts: Uint8Array;
}

function sha256(bytes: string | Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** A predictor whose answers spread from 0 to the longest. */
export function randomLdlp(shape: LdlpShape, seed = 1): GgufFile {
  const { hiddenSize, width } = shape;
  const next = numbers(seed);
  const tensor = (name: string, columns: number, rows: number, scale: number, middle = 0) => {
    const values = Float32Array.from(
      { length: columns * rows },
      () => middle + scale * (next(2001) / 1000 - 1),
    );
    return {
      name,
      type: ggmlTypeNamed("F32").id,
      shape: rows === 1 ? [columns] : [columns, rows],
      data: new Uint8Array(values.buffer),
    };
  };
  const u32 = (value: number): GgufValue => ({ type: "u32", value });
  const text = (value: string): GgufValue => ({ type: "string", value });
  const matrix = (name: string, columns: number, rows: number, scale: number) => [
    tensor(`${name}.weight`, columns, rows, scale / Math.sqrt(columns)),
    tensor(`${name}.bias`, rows, 1, 0.5),
  ];
  return {
    metadata: [
      ["general.architecture", text("espalier-ldlp")],
      ["espalier-ldlp.embedding_length", u32(hiddenSize)],
      ["espalier-ldlp.width", u32(width)],
      ["espalier-ldlp.k_max", u32(shape.longest)],
      ["espalier-ldlp.lambda", { type: "f32", value: 2 }],
      ["espalier-ldlp.target.block_count", u32(shape.layers)],
      ["espalier-ldlp.target.embedding_length", u32(hiddenSize)],
      ["espalier-ldlp.target.vocab_size", u32(shape.tokens.length)],
      [
        "espalier-ldlp.target.tokens_sha256",
        text(sha256(shape.tokens.map((token) => `${token}\0`).join(""))),
      ],
      ["espalier-ldlp.target.name", text("a target")],
      ["espalier-ldlp.head.sha256", text(sha256(shape.drafts))],
    ],
    tensors: [
      ...matrix("in", 2 * hiddenSize, width, 3),
      ...matrix("blk.0", width, width, 2),
      ...matrix("blk.1", width, width, 2),
      tensor("out.weight", width, 1, 8 / Math.sqrt(width)),
      tensor("out.bias", 1, 1, 0.5, shape.longest / 2),
    ],
  };
}
