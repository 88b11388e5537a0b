/**
 * @file The engine picks out of a row what the plain scan picks, with every instruction set: in rows of the head alone, of random hidden
 * states, so that there are many, flat and steep ones, and in some all tokens have equals.
 */

import { afterEach, expect, it } from "vitest";
import { engine, selectIsa } from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import { positionKey } from "../src/random.ts";
import { pickToken } from "../src/target/pick.ts";
import { numbers, openWeights, withGguf } from "./native-model.ts";
import { randomBlocks } from "./random-blocks.ts";
import { tinyLlama } from "./tiny-llama.ts";

const binding = engine();
const best = binding.currentIsa();
const isas = binding.isas().filter(({ usable }) => usable);
const few = process.env.ESPALIER_TESTS === "few";
const HIDDEN = 64;
const LAYERS = 2;
const ROWS = 40;

/** A model whose output matrix has `distinct` rows, over and over. */
function modelOf(vocabSize: number, distinct: number) {
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

afterEach(() => selectIsa(binding, best));

it.each([
  [1, 1],
  [17, 17],
  [40, 3],
  [519, 519],
  [1037, 1037],
  [3001, 40],
])("%i tokens, %i of them different", async (vocabSize, distinct) => {
  const { config, weights } = await withGguf(modelOf(vocabSize, distinct), openWeights);
  const pool = binding.createPool(2)!;
  const stack = binding.createStack(pool, stackSpec(config, weights));
  const next = numbers(vocabSize);
  const parents = Int32Array.from({ length: ROWS }, (_, node) => node - 1);
  const tops = new Set<boolean>();
  for (let round = 0; round < (few ? 2 : 20); round++) {
    const rule = {
      seed: next(2 ** 32),
      scale: [0.01, 0.3, 1, 1.25, 4, 60, 1e40, Infinity][round % 8]!,
      reach: [Infinity, 0, next(5), next(1000) / 100][round % 4]!,
    };
    // What is 0 has the same logits everywhere.
    const input = Float32Array.from({ length: ROWS * HIDDEN }, (_, i) =>
      i < HIDDEN ? 0 : next(2001) - 1000,
    );
    for (const { name } of isas) {
      selectIsa(binding, name);
      const cache = binding.createCache(stack, ROWS, true)!;
      const tokens = new Int32Array(ROWS);
      const picks = new Int32Array(ROWS);
      const logits = new Float32Array(ROWS * vocabSize);
      await binding.forward({
        stack,
        trees: [{ cache, tokens, parents, size: ROWS, first: 0, pick: rule }],
        from: LAYERS,
        to: LAYERS,
        input,
        lastOnly: false,
        topK: 1,
        tokens,
        logProbs: new Float32Array(ROWS),
        picks,
        logits,
        commit: false,
      });
      for (let row = 0; row < ROWS; row++) {
        const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
        const picked = pickToken(own, tokens[row]!, rule, positionKey(rule.seed, row + 1));
        expect(picks[row], `round ${round}, row ${row}, ${name}`).toBe(picked);
        tops.add(picked === tokens[row]);
      }
      binding.release(cache);
    }
  }
  // Otherwise it would show nothing.
  expect(tops.has(false)).toBe(vocabSize > 1);
  for (const handle of [stack, pool, weights.arena]) binding.release(handle);
});
