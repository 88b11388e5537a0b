/**
 * @file Rows of another matrix behind those of a head. Here they are the head's own once more, so each must get, to the bit, what its
 * twin gets: in every kind of weights, on every instruction set, wherever a row lies in its group.
 */

import { afterEach, describe, expect, it } from "vitest";
import { matrixTypes } from "../src/checkpoint/ggml-types.ts";
import { type Cache, engine, type PassRequest, type Stack, selectIsa } from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import { gumbel, positionKey } from "../src/random.ts";
import { openWeights, randomLlama, withGguf } from "./native-model.ts";

const VOCAB = 128;
const binding = engine();
const best = binding.currentIsa();
const isas = binding.isas().flatMap(({ name, usable }) => (usable ? [name] : []));
afterEach(() => selectIsa(binding, best));

/** A stack of random weights whose head's rows may also stand behind the head. */
async function withStack(matrixType: string, use: (stack: Stack, cache: Cache) => void): Promise<void> {
  const shape = { layers: 1, hiddenSize: 256, heads: 4, kvHeads: 1, feedForwardSize: 256, tiedHead: false };
  const file = randomLlama({ ...shape, matrixType, vocabSize: VOCAB }, 5);
  const { config, weights } = await withGguf(file, openWeights);
  const pool = binding.createPool(2)!;
  const stack = binding.createStack(pool, { ...stackSpec(config, weights), others: weights.head });
  const cache = binding.createCache(stack, 64, true)!;
  try {
    use(stack, cache);
  } finally {
    for (const handle of [cache, stack, pool, weights.arena]) binding.release(handle);
  }
}

function request(stack: Stack, cache: Cache, more?: Int32Array): PassRequest {
  const tree = { cache, tokens: Int32Array.of(3, 90), parents: Int32Array.of(-1, 0), size: 2, first: 0 };
  return {
    stack,
    trees: [tree],
    from: 0,
    to: 1,
    lastOnly: false,
    topK: VOCAB,
    tokens: new Int32Array(2 * VOCAB),
    logProbs: new Float32Array(2 * VOCAB),
    logits: new Float32Array(2 * VOCAB),
    more,
    commit: false,
  };
}

function run(stack: Stack, cache: Cache, more?: Int32Array): PassRequest {
  const pass = request(stack, cache, more);
  binding.forwardNow(pass);
  binding.cacheRollback(cache);
  return pass;
}

describe.each(matrixTypes)("other rows of type %s", (matrixType) => {
  it("get what the same rows of the head get", async () => {
    const lists = [
      Int32Array.from({ length: 40 }, (_, i) => (i * 37 + 5) % VOCAB),
      Int32Array.from({ length: 21 }, (_, i) => (i * 11 + 127) % VOCAB),
    ];
    await withStack(matrixType, (stack, cache) => {
      for (const isa of isas) {
        selectIsa(binding, isa);
        const plain = run(stack, cache);
        for (const more of lists) {
          const { tokens, logProbs, logits } = run(stack, cache, more);
          expect(logits).toEqual(plain.logits);
          for (const row of [0, 1]) {
            const listed = new Map<number, number>();
            for (let i = row * VOCAB; i < (row + 1) * VOCAB; i++) listed.set(tokens![i]!, logProbs![i]!);
            const others = [...listed].filter(([token]) => token >= VOCAB);
            expect(others.length).toBeGreaterThan(more.length / 2);
            for (const [token, value] of others) expect(value).toBe(listed.get(more[token - VOCAB]!));
            // What all add up to, by the logits.
            const all = [...logits!.subarray(row * VOCAB, (row + 1) * VOCAB)];
            const sum = [...all, ...Array.from(more, (token) => all[token]!)].reduce(
              (total, logit) => total + Math.exp(logit),
              0,
            );
            for (const [token, value] of listed) {
              const logit = all[token < VOCAB ? token : more[token - VOCAB]!]!;
              expect(value).toBeCloseTo(logit - Math.log(sum), 4);
            }
          }
        }
      }
    });
  });
});

it("are ranked by the noise of the tokens that they are of, as the head's own are", async () => {
  await withStack("Q8_0", (stack, cache) => {
    const more = Int32Array.from({ length: 21 }, (_, i) => (i * 11 + 127) % VOCAB);
    const ids = Int32Array.from({ length: VOCAB }, (_, token) => token);
    const pick = { seed: 9, scale: 1.25, reach: Infinity, ahead: 4 };
    const { logits } = run(stack, cache, more);
    for (const isa of isas) {
      selectIsa(binding, isa);
      const pass = request(stack, cache, more);
      const trees = pass.trees.map((tree) => ({ ...tree, pick }));
      binding.forwardNow({ ...pass, trees, ids });
      binding.cacheRollback(cache);
      for (const row of [0, 1]) {
        const own = logits!.subarray(row * VOCAB, (row + 1) * VOCAB);
        const key = positionKey(pick.seed, pick.ahead + row + 1);
        const most = Math.max(...own);
        const scores = [...ids, ...more].map(
          (token) => (own[token]! - most) * pick.scale + gumbel(key, token),
        );
        const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
        expect([...pass.tokens!.subarray(row * VOCAB, (row + 1) * VOCAB)]).toEqual(order.slice(0, VOCAB));
        expect(order.slice(0, VOCAB).some((i) => i >= VOCAB)).toBe(true);
      }
    }
  });
});

it("are refused when they are not there, or too many", async () => {
  await withStack("Q8_0", (stack, cache) => {
    const attempt = (more: Int32Array) => () => binding.forwardNow(request(stack, cache, more));
    expect(attempt(Int32Array.of(0, VOCAB))).toThrow(/no such other row/);
    expect(attempt(Int32Array.of(-1))).toThrow(/no such other row/);
    expect(attempt(new Int32Array(513))).toThrow(/request of a pass/);
    run(stack, cache, new Int32Array(512));
  });
});
