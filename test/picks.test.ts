/**
 * @file The engine picks out of a row what the plain scan picks, with every instruction set: in rows of the head alone, of random hidden
 * states, so that there are many, flat and steep ones, and in some all tokens have equals.
 */

import { afterEach, expect, it } from "vitest";
import { engine, type Stack, selectIsa } from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import { gumbel, positionKey } from "../src/random.ts";
import { inNucleus } from "../src/target/nucleus.ts";
import { type PickRule, pickToken } from "../src/target/pick.ts";
import { HIDDEN, headModel, LAYERS } from "./head-model.ts";
import { numbers, openWeights, withGguf } from "./native-model.ts";

const binding = engine();
const best = binding.currentIsa();
const isas = binding.isas().filter(({ usable }) => usable);
const few = process.env.ESPALIER_TESTS === "few";
const ROWS = 40;
const CHAIN = Int32Array.from({ length: ROWS }, (_, node) => node - 1);

/** Where a row's tokens are others than its numbers, as a draft head's are, the best logit and noise together come first. */
async function expectRanking(
  stack: Stack,
  name: string,
  input: Float32Array,
  logits: Float32Array,
  rule: PickRule & { readonly ahead: number },
) {
  const vocabSize = logits.length / ROWS;
  const topK = Math.min(9, vocabSize);
  const ids = Int32Array.from({ length: vocabSize }, (_, row) => 3 * row + 5);
  const listed = new Int32Array(ROWS * topK);
  const logProbs = new Float32Array(ROWS * topK);
  const cache = binding.createCache(stack, ROWS, true)!;
  const tree = { cache, tokens: new Int32Array(ROWS), parents: CHAIN, size: ROWS, first: 0, pick: rule };
  const request = { stack, trees: [tree], from: LAYERS, to: LAYERS, input, ids, lastOnly: false, topK };
  await binding.forward({ ...request, tokens: listed, logProbs, commit: false });
  binding.release(cache);
  for (let row = 0; row < ROWS; row++) {
    const own = logits.subarray(row * vocabSize, (row + 1) * vocabSize);
    const most = Math.max(...own);
    const key = positionKey(rule.seed, rule.ahead + row + 1);
    const scores = Array.from(own, (logit, i) => (logit - most) * rule.scale + gumbel(key, ids[i]!));
    const order = scores.map((_, i) => i).sort((a, b) => scores[b]! - scores[a]! || a - b);
    // A scale that is infinite makes no number of what is best, and the list then begins with the first rows.
    if (rule.scale !== Infinity)
      expect([...listed.subarray(row * topK, (row + 1) * topK)], `row ${row}, ${name}`).toEqual(
        order.slice(0, topK),
      );
    const normalizer = most + Math.log(own.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
    for (let i = row * topK; i < (row + 1) * topK; i++)
      expect(logProbs[i]).toBeCloseTo(own[listed[i]!]! - normalizer, 3);
  }
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
  const { config, weights } = await withGguf(headModel(vocabSize, distinct), openWeights);
  const pool = binding.createPool(2)!;
  const stack = binding.createStack(pool, stackSpec(config, weights));
  const next = numbers(vocabSize);
  const tops = new Set<boolean>();
  const kept = new Set<boolean>();
  for (let round = 0; round < (few ? 2 : 20); round++) {
    const rule = {
      seed: next(2 ** 32),
      scale: [0.01, 0.3, 1, 1.25, 4, 60, 1e40, Infinity][round % 8]!,
      reach: [Infinity, 0, next(5), next(1000) / 100][round % 4]!,
      topP: [0.9, undefined, 0.5, 0.999999, 0.02][round % 5],
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
        trees: [{ cache, tokens, parents: CHAIN, size: ROWS, first: 0, pick: rule }],
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
        kept.add(
          picked === pickToken(own, tokens[row]!, { ...rule, topP: 1 }, positionKey(rule.seed, row + 1)),
        );
      }
      binding.release(cache);
      await expectRanking(stack, name, input, logits, { ...rule, ahead: round });
    }
  }
  // Otherwise it would show nothing.
  expect(tops.has(false)).toBe(vocabSize > 1);
  expect(kept.has(false)).toBe(vocabSize > 1);
  for (const handle of [stack, pool, weights.arena]) binding.release(handle);
});

it.each([
  [519, 519],
  [3001, 40],
])(
  "%i tokens, %i of them different: the same sums of top-p, to the last bit",
  async (vocabSize, distinct) => {
    const { config, weights } = await withGguf(headModel(vocabSize, distinct), openWeights);
    const pool = binding.createPool(1)!;
    const stack = binding.createStack(pool, stackSpec(config, weights));
    const next = numbers(vocabSize);
    const run = async (input: Float32Array, rule: PickRule) => {
      const cache = binding.createCache(stack, 1, true)!;
      const tree = { cache, tokens: new Int32Array(1), parents: CHAIN, size: 1, first: 0, pick: rule };
      const made = {
        tokens: new Int32Array(1),
        logProbs: new Float32Array(1),
        picks: new Int32Array(1),
        logits: new Float32Array(vocabSize),
      };
      const layers = { from: LAYERS, to: LAYERS, input, lastOnly: false, topK: 1, commit: false };
      await binding.forward({ stack, trees: [tree], ...layers, ...made });
      binding.release(cache);
      return { top: made.tokens[0]!, choice: made.picks[0]!, logits: made.logits };
    };
    let borders = 0;
    for (let round = 0; round < (few ? 3 : 30); round++) {
      const rule = { seed: next(2 ** 32), scale: [0.03, 0.3, 1, 1.25, 4][round % 5]!, reach: Infinity };
      const input = Float32Array.from({ length: HIDDEN }, () => next(2001) - 1000);
      for (const { name } of isas) {
        selectIsa(binding, name);
        const { top, choice, logits } = await run(input, rule);
        if (choice === top) continue;
        // The two neighbouring numbers between which a top-p begins to keep what is picked among all tokens.
        let [without, within] = [0, 1];
        for (;;) {
          const middle = (without + within) / 2;
          if (middle === without || middle === within) break;
          if (inNucleus(logits, top, choice, rule.scale, middle)) within = middle;
          else without = middle;
        }
        if (within === 1) continue;
        borders++;
        const what = `round ${round}, ${name}, ${within}`;
        expect((await run(input, { ...rule, topP: within })).choice, what).toBe(choice);
        expect((await run(input, { ...rule, topP: without })).choice, what).not.toBe(choice);
      }
    }
    expect(borders).toBeGreaterThan(0);
    for (const handle of [stack, pool, weights.arena]) binding.release(handle);
  },
);
