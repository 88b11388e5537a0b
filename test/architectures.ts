/** @file Reads what test/reference/architectures.py wrote: small models, and what transformers predicts with them in fp32. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { TokenId } from "../src/types.ts";
import { fromHalf } from "./dequantize.ts";

export interface ArchitectureFixture {
  readonly name: string;
  /** Of a GGUF file. */
  readonly path: string;
  readonly tokens: readonly TokenId[];
  /** What the model is loaded for; undefined: what it was trained for. */
  readonly contextLength: number | undefined;
  /** Log-probabilities of all tokens, predicted after each token. */
  readonly rows: readonly Float64Array[];
}

interface Entry {
  readonly name: string;
  /** Whose file it is; by default its own. */
  readonly file?: string;
  readonly contextLength?: number;
  readonly tokens: readonly TokenId[];
}

export function readArchitectures(): ArchitectureFixture[] {
  const at = (name: string) => fileURLToPath(new URL(`fixtures/architectures/${name}`, import.meta.url));
  const entries: readonly Entry[] = JSON.parse(readFileSync(at("index.json"), "utf8"));
  return entries.map(({ name, file = name, contextLength, tokens }) => {
    const bytes = readFileSync(at(`${name}.logits`));
    const width = bytes.length / 2 / tokens.length;
    const rows = tokens.map((_, row) =>
      Float64Array.from({ length: width }, (_, token) =>
        fromHalf(bytes.readUInt16LE(2 * (row * width + token))),
      ),
    );
    return { name, path: at(`${file}.gguf`), contextLength, tokens, rows };
  });
}

/** KL(softmax(reference) || softmax(logits)) in nats. */
export function divergence(reference: ArrayLike<number>, logits: ArrayLike<number>): number {
  const p = logSoftmax(reference);
  const q = logSoftmax(logits);
  return p.reduce((total, value, i) => total + Math.exp(value) * (value - q[i]!), 0);
}

function logSoftmax(values: ArrayLike<number>): Float64Array {
  const result = Float64Array.from(values);
  const largest = result.reduce((a, b) => Math.max(a, b));
  const total = result.reduce((sum, value) => sum + Math.exp(value - largest), 0);
  return result.map((value) => value - largest - Math.log(total));
}
