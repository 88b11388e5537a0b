/**
 * @file Every kind of weights: what its blocks mean, that the engine computes with just these values, and that its rows have
 * the same bits on every instruction set and in trees of every size.
 */

import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { matrixTypes } from "../src/checkpoint/ggml-types.ts";
import { engine, type Matrix, selectIsa } from "../src/engine/binding.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { dequantize, roundHalfToEven } from "./dequantize.ts";
import { nativeTarget, numbers, randomLlama, randomTokens } from "./native-model.ts";
import { checkRow, everything, plainRows } from "./same-bits.ts";

/** From test/reference/weights_fixture.py. */
const fixture: Readonly<Record<string, { bytes: string; values: string }>> = JSON.parse(
  readFileSync(new URL("fixtures/weights.json", import.meta.url), "utf8"),
);
/** Those that the engine rounds to 8 bits. */
const ROUNDED = ["F32", "F16", "BF16"];
/** Not whole groups of 16 rows. */
const VOCAB = 77;

const binding = engine();
const best = binding.currentIsa();
const isas = binding.isas().flatMap(({ name, usable }) => (usable ? [name] : []));
afterEach(() => selectIsa(binding, best));

it("has reference values for every kind that the engine reads", () => {
  expect(Object.keys(fixture).toSorted()).toEqual([...matrixTypes].toSorted());
});

describe.each(matrixTypes)("weights of type %s", (matrixType) => {
  // 15 blocks are not whole pairs; K types cannot be so.
  const hidden = matrixType.endsWith("_K") ? 512 : 480;
  const file = randomLlama(
    {
      matrixType,
      layers: 1,
      hiddenSize: hidden,
      heads: hidden / 32,
      kvHeads: 1,
      feedForwardSize: 768,
      vocabSize: VOCAB,
      tiedHead: false,
    },
    3,
  );
  const values = (name: string, type = matrixType) =>
    dequantize(type, file.tensors.find((tensor) => tensor.name === name)!.data);
  const text = randomTokens(numbers(1), VOCAB, 13);
  let target: NativeTarget;

  beforeAll(async () => {
    target = await nativeTarget(file, { threads: 1, cacheType: "i16" });
  });
  afterAll(() => target[Symbol.asyncDispose]());

  it("mean what the gguf package says", () => {
    const { bytes, values } = fixture[matrixType]!;
    const expected = new Float32Array(new Uint8Array(Buffer.from(values, "base64")).buffer);
    const actual = dequantize(matrixType, Buffer.from(bytes, "base64"));
    expect(actual).toHaveLength(expected.length);
    for (const [i, value] of expected.entries()) {
      // The package rounds intermediate results to 32 bits, of which the largest is below 512.
      expect(Math.abs(actual[i]! - value), `value ${i}`).toBeLessThanOrEqual(2 ** -15);
    }
  });

  it("stay what they are in a matrix of some of the rows", () => {
    const { output } = target;
    const next = numbers(4);
    const rows = Int32Array.from({ length: 35 }, () => next(VOCAB));
    const arena = binding.createArena(binding.gatheredBytes(output, rows.length))!;
    const input = Float32Array.from({ length: hidden }, () => next(2001) / 1000 - 1);
    const times = (matrix: Matrix, count: number) => {
      const result = new Float32Array(count);
      binding.dense({ matrix, bias: new Float32Array(count), input, output: result });
      return result;
    };
    const all = times(output, VOCAB);
    const some = times(binding.gatherMatrix(arena, output, rows)!, rows.length);
    expect([...some]).toEqual(Array.from(rows, (row) => all[row]));
    expect(binding.gatherMatrix(arena, output, rows)).toBeNull();
    for (const row of [-1, VOCAB]) expect(binding.gatherMatrix(arena, output, Int32Array.of(row))).toBeNull();
    expect(binding.gatheredBytes(output, 0)).toBe(0);
    expect(() => binding.gatherMatrix(arena, output, new Float32Array(1) as unknown as Int32Array)).toThrow(
      /internal/,
    );
    binding.release(arena);
  });

  it("come back from the engine's layout", async () => {
    const embedding = values("token_embd.weight");
    const tree = new DraftTree(0, VOCAB);
    while (tree.size < VOCAB) tree.push(0, tree.size, 0.5);
    for (const isa of isas) {
      selectIsa(binding, isa);
      await using sequence = await target.createSequence({ capacity: 128 });
      const pass = await sequence.forward(tree, { topK: 0, taps: [0] });
      for (let token = 0; token < VOCAB; token++) {
        const row = embedding.subarray(token * hidden, (token + 1) * hidden);
        const actual = pass.hidden(token, 0);
        for (let block = 0; block < hidden; block += 32) {
          const block32 = row.subarray(block, block + 32);
          // Half a step of 8 bits, or what 32-bit arithmetic leaves.
          const part = ROUNDED.includes(matrixType) ? 0.502 / 127 : 2 ** -21;
          const worst = block32.reduce(
            (most, value, i) => Math.max(most, Math.abs(actual[block + i]! - value)),
            0,
          );
          expect(worst, `${isa}, token ${token}`).toBeLessThanOrEqual(part * largestOf(block32));
        }
      }
    }
  });

  it("give the products that plain arithmetic gives", async () => {
    const head = values("output.weight");
    const norm = values("output_norm.weight", "F32");
    await using sequence = await target.createSequence({ capacity: 32 });
    const pass = await sequence.forward(chain(text), { topK: 0, logits: true, taps: [1] });
    for (let node = 0; node < text.length; node++) {
      const input = normedInt8(pass.hidden(node, 1), norm);
      const logits = pass.logits(node);
      let [error, length] = [0, 0];
      for (const [token, actual] of logits.entries()) {
        const row = head.subarray(token * hidden, (token + 1) * hidden);
        const expected = row.reduce((sum, weight, i) => sum + weight * input[i]!, 0);
        error += (actual - expected) ** 2;
        length += expected ** 2;
      }
      // An input that is rounded the other way because it lies between two quants adds 0.001 or so.
      const allowed = ROUNDED.includes(matrixType) ? 0.01 : 0.002;
      expect(Math.sqrt(error / length), `node ${node}`).toBeLessThan(allowed);
    }
  });

  it("give the same bits in trees of every size and on every instruction set", async () => {
    const want = everything(target);
    const rows = await plainRows(target, text, want);
    for (const isa of isas) {
      selectIsa(binding, isa);
      await using sequence = await target.createSequence({ capacity: 32 });
      for (let size = 1; size <= text.length; size++) {
        const pass = await sequence.forward(chain(text.slice(0, size)), want);
        for (let node = 0; node < size; node++) {
          checkRow(pass, node, want, rows[node]!, () => `${size} nodes, ${isa}`);
        }
        sequence.rollback();
      }
    }
  });
});

/** Kinds that `weights: "q4"` leaves as they are. */
const SMALL = ["Q4_0", "Q4_1", "Q2_K", "Q3_K", "Q4_K"];

describe.each(matrixTypes)("weights of type %s, kept with 4 bits", (matrixType) => {
  // 11 blocks are not whole super-blocks; K types cannot be so.
  const hiddenSize = matrixType.endsWith("_K") ? 256 : 352;
  const heads = hiddenSize / 32;
  const shape = {
    matrixType,
    layers: 1,
    hiddenSize,
    heads,
    kvHeads: 1,
    feedForwardSize: 512,
    vocabSize: VOCAB,
  };
  const file = randomLlama(shape, 4);
  const text = randomTokens(numbers(2), VOCAB, 9);

  it("are near the file's, and give the same bits everywhere", async () => {
    const options = { threads: 1, cacheType: "i16" } as const;
    await using asFile = await nativeTarget(file, options);
    await using target = await nativeTarget(file, { ...options, precision: "q4" });
    const want = everything(target);
    const rows = await plainRows(target, text, want);
    for (const isa of isas) {
      selectIsa(binding, isa);
      await using sequence = await target.createSequence({ capacity: 32 });
      const pass = await sequence.forward(chain(text), want);
      for (let node = 0; node < text.length; node++) checkRow(pass, node, want, rows[node]!, () => isa);
    }
    await using exact = await asFile.createSequence({ capacity: 32 });
    await using rounded = await target.createSequence({ capacity: 32 });
    const embedded = { topK: 0, taps: [0] };
    const [expected, actual] = [
      await exact.forward(chain(text), embedded),
      await rounded.forward(chain(text), embedded),
    ];
    let [error, length] = [0, 0];
    for (let node = 0; node < text.length; node++) {
      for (const [i, value] of expected.hidden(node, 0).entries()) {
        error += (actual.hidden(node, 0)[i]! - value) ** 2;
        length += value ** 2;
      }
    }
    // 16 steps over values that are spread evenly leave 1/15 of their size.
    expect(Math.sqrt(error / length)).toBeLessThan(SMALL.includes(matrixType) ? 1e-9 : 0.085);
  });
});

function chain(tokens: readonly number[]): DraftTree {
  const tree = new DraftTree(tokens[0]!, tokens.length);
  for (const token of tokens.slice(1)) tree.push(tree.size - 1, token, 0.5);
  return tree;
}

function largestOf(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

/** RMSNorm, and what int8 in blocks of 32 leaves of it. */
function normedInt8(x: Float32Array, weight: Float32Array): Float32Array {
  const scale = 1 / Math.sqrt(x.reduce((sum, value) => sum + value * value, 0) / x.length + 1e-5);
  const normed = x.map((value, i) => value * scale * weight[i]!);
  return normed.map((value, i) => {
    const first = i - (i % 32);
    const step = largestOf(normed.subarray(first, first + 32)) / 127;
    return step * roundHalfToEven(value / step);
  });
}
