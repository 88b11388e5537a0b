/** @file A model whose head is all that counts, for tests of what is read out of its rows: they give hidden states themselves. */

import { numbers } from "./native-model.ts";
import { randomBlocks } from "./random-blocks.ts";
import { tinyLlama } from "./tiny-llama.ts";

export const HIDDEN = 64;
export const LAYERS = 2;

/** A model whose output matrix has `distinct` rows, over and over. */
export function headModel(vocabSize: number, distinct: number) {
  const rows = randomBlocks("Q8_0", numbers(distinct), ((distinct * HIDDEN) / 32) * 34);
  return tinyLlama({
    layers: LAYERS,
    heads: 2,
    kvHeads: 1,
    vocabSize,
    matrixType: "Q8_0",
    tiedHead: false,
    fill: (name, bytes) => {
      if (name === "output.weight") return Buffer.alloc(bytes, rows);
      return name.includes("norm")
        ? Buffer.from(new Float32Array(bytes / 4).fill(10).buffer)
        : Buffer.alloc(bytes);
    },
  });
}
