/** @file Keys and values as integers against floats, where their scales are the least usual: values of 0, alone and by the span. */

import { expect, test } from "vitest";
import { nativeTarget, numbers, randomTokens } from "./native-model.ts";
import { tinyLlama } from "./tiny-llama.ts";

const HIDDEN = 64;
const VOCAB = 40;

/** Token 0 is embedded as zeros, so that its value in the first layer is 0; all values are `size` times what they would be, and outputs as much less. */
function model(size: number) {
  const next = numbers(5);
  return tinyLlama({
    hiddenSize: HIDDEN,
    heads: 2,
    kvHeads: 1,
    vocabSize: VOCAB,
    tiedHead: false,
    matrixType: "F32",
    fill: (name, byteLength) => {
      const of = name.includes("attn_v") ? size : name.includes("attn_output") ? 1 / size : 1;
      const floats = new Float32Array(byteLength / 4);
      for (let i = 0; i < floats.length; i++)
        floats[i] = name.includes("norm") ? 1 : ((next(2001) - 1000) / 4000) * of;
      if (name.startsWith("token_embd")) floats.fill(0, 0, HIDDEN);
      return new Uint8Array(floats.buffer);
    },
  });
}

async function logitsOf(size: number, tokens: readonly number[], cacheType: "i16" | "f32") {
  await using target = await nativeTarget(model(size), { threads: 1, cacheType });
  await using sequence = await target.createSequence({ capacity: tokens.length });
  const rows: Float32Array[] = [];
  await sequence.prefill(tokens, {
    want: { topK: 0, logits: true },
    onChunk: ({ pass }) => {
      for (let node = 0; node < pass.size; node++) rows.push(pass.logits(node).slice());
    },
  });
  return rows;
}

const random = randomTokens(numbers(9), VOCAB - 1, 300).map((token) => token + 1);
const texts = {
  "now and then 0": random.map((token, at) => (at % 3 === 0 ? 0 : token)),
  "0 over the first span and a half": random.map((token, at) => (at < 190 ? 0 : token)),
  "never 0": random,
};

test.for(
  Object.keys(texts).flatMap((name) =>
    [1 / 64, 1, 64].map((size) => [name as keyof typeof texts, size] as const),
  ),
)("values that are %s, of a size of %f", async ([name, size]) => {
  const tokens = texts[name];
  const exact = await logitsOf(size, tokens, "f32");
  const rounded = await logitsOf(size, tokens, "i16");
  expect(exact.length).toBe(tokens.length);
  let squares = 0;
  let differences = 0; // what is not a number makes it one too
  for (const [at, row] of exact.entries()) {
    for (const [token, logit] of row.entries()) {
      squares += logit ** 2;
      differences += (logit - rounded[at]![token]!) ** 2;
    }
  }
  // Nearly all of it comes of products' int8 inputs, which other last bits may round otherwise.
  expect(squares / (tokens.length * VOCAB)).toBeGreaterThan(0.1);
  expect(Math.sqrt(differences / squares)).toBeLessThan(0.03);
});
