/**
 * @file With penalties, the engine's rows give the tokens that a scan of the whole changed row gives, with every instruction set: for random
 * texts, trees, temperatures and filters. All that a row gives besides is as it is without penalties.
 */

import { afterEach, expect, it } from "vitest";
import { engine, selectIsa } from "../src/engine/binding.ts";
import { stackSpec } from "../src/engine/stack-spec.ts";
import { positionKey } from "../src/random.ts";
import { cutRow } from "../src/sampling/cut.ts";
import { History } from "../src/sampling/history.ts";
import { type SamplingSettings, samplingSettings } from "../src/sampling/options.ts";
import { createSampler } from "../src/sampling/sampler.ts";
import { pickToken } from "../src/target/pick.ts";
import type { Pass } from "../src/target/target.ts";
import { HIDDEN, headModel, LAYERS } from "./head-model.ts";
import { numbers, openWeights, withGguf } from "./native-model.ts";
import { randomTree } from "./same-bits.ts";

const binding = engine();
const best = binding.currentIsa();
const isas = binding.isas().filter(({ usable }) => usable);
const few = process.env.ESPALIER_TESTS === "few";
const ROWS = 24;

/** Changes a copy of the row and looks at all of it. */
function scan(
  row: Float32Array,
  settings: SamplingSettings,
  tokens: readonly number[],
  promptLength: number,
) {
  const { repetitionPenalty, frequencyPenalty, presencePenalty, temperature, topK, topP, minP } = settings;
  const logits = row.slice();
  const counts = new Map<number, number>();
  for (const [position, token] of tokens.entries())
    counts.set(token, (counts.get(token) ?? 0) + (position < promptLength ? 0 : 1));
  for (const [token, generated] of counts) {
    const logit = logits[token]!;
    const repeated = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
    logits[token] = repeated - frequencyPenalty * generated - (generated > 0 ? presencePenalty : 0);
  }
  const top = logits.indexOf(Math.max(...logits));
  if (temperature === 0) return top;
  const key = positionKey(settings.seed, tokens.length);
  const rule = { seed: settings.seed, scale: 1 / temperature, reach: -Math.log(minP) };
  if (topK === 0 && topP === 1) return pickToken(logits, top, rule, key);
  const cut = cutRow(logits, logits[top]!, rule.scale, topK, topP);
  const reach = Math.min(rule.reach, cut.delta);
  return pickToken(logits, top, { ...rule, reach }, key, reach === cut.delta ? cut.token : undefined);
}

afterEach(() => selectIsa(binding, best));

it.each([
  [1, 1],
  [40, 3],
  [519, 519],
  [3001, 40],
])("%i tokens, %i of them different", async (vocabSize, distinct) => {
  const { config, weights } = await withGguf(headModel(vocabSize, distinct), openWeights);
  const pool = binding.createPool(2)!;
  const stack = binding.createStack(pool, stackSpec(config, weights));
  const next = numbers(vocabSize);
  const one = <T>(...of: readonly T[]) => of[next(of.length)]!;
  const seen = { changed: 0, same: 0 };
  for (let round = 0; round < (few ? 16 : 40); round++) {
    const settings = samplingSettings({
      repetitionPenalty: one(1, 1.1, 1.3, 0.8, 50),
      frequencyPenalty: one(0, 0.3, -0.2),
      presencePenalty: one(0.5, 0, -1.5),
      temperature: one(0, 0.01, 0.8, 1, 3),
      topK: one(0, 0, 1, Math.min(vocabSize, 40), 300),
      topP: one(1, 0.9, 0.4),
      minP: one(0, 0, 0.1),
      seed: next(2 ** 32),
    });
    if (settings.topK > vocabSize && settings.topK <= 256) continue;
    const texts = Array.from({ length: 1 + next(one(3, 40, 600)) }, () => next(vocabSize));
    const history = new History(texts.splice(0, 1 + next(texts.length)));
    const tree = vocabSize === 1 ? randomTree(next, 1, 1) : randomTree(next, vocabSize, ROWS);
    for (const token of [...texts, tree.root]) history.push(token);
    const sampler = createSampler(settings, history);
    const { penalties, pick, topK } = sampler.want;
    // What is 0 has the same logits everywhere, and then penalties alone decide.
    const flat = Array.from({ length: tree.size }, () => next(2) === 0);
    const input = Float32Array.from({ length: tree.size * HIDDEN }, (_, i) =>
      flat[Math.floor(i / HIDDEN)] ? 0 : next(2001) - 1000,
    );
    const run = async (penalised: boolean) => {
      const cache = binding.createCache(stack, ROWS, true)!;
      const listed = (penalised && penalties?.listed) || 0;
      const made = {
        tokens: new Int32Array(tree.size * topK),
        logProbs: new Float32Array(tree.size * topK),
        logits: new Float32Array(tree.size * vocabSize),
        picks: new Int32Array(tree.size),
        penalisedTokens: new Int32Array(tree.size * listed),
        penalisedLogits: new Float32Array(tree.size * listed),
      };
      const { tokens, parents, size } = tree;
      // The text's tokens lie before the cache, as the root does.
      const ahead = history.length - 1;
      const places = pick && { ...pick, ahead };
      const own = {
        cache,
        tokens,
        parents,
        size,
        first: 0,
        pick: places,
        penalties: listed ? penalties : undefined,
      };
      const layers = { from: LAYERS, to: LAYERS, input, lastOnly: false, commit: false };
      await binding.forward({ stack, trees: [own], ...layers, ...made, topK, penalisedK: listed });
      binding.release(cache);
      return made;
    };
    for (const { name } of isas) {
      selectIsa(binding, name);
      const [plain, made] = [await run(false), await run(true)];
      const rowOf = (node: number) => made.logits.subarray(node * vocabSize, (node + 1) * vocabSize);
      expect([made.tokens, made.logProbs, made.logits]).toEqual([plain.tokens, plain.logProbs, plain.logits]);
      const list = { k: penalties?.listed ?? 0, tokens: made.penalisedTokens, logits: made.penalisedLogits };
      const pass: Pass = { size: tree.size, k: topK, ...made, logits: rowOf, penalised: list, hidden: rowOf };
      const { length } = history;
      for (let node = 0; node < tree.size; node++) {
        for (const at of tree.path(node).slice(1)) history.push(tree.tokens[at]!);
        const token = sampler.pick(pass, node);
        const expected = scan(rowOf(node), settings, history.tokens, history.promptLength);
        expect(token, `round ${round}, node ${node}, ${name}, ${JSON.stringify(settings)}`).toBe(expected);
        const without = { ...settings, repetitionPenalty: 1, frequencyPenalty: 0, presencePenalty: 0 };
        const other = scan(rowOf(node), without, history.tokens, history.promptLength);
        seen[other === token ? "same" : "changed"]++;
        history.truncate(length);
      }
    }
  }
  // Otherwise it would show nothing.
  expect(seen.same).toBeGreaterThan(0);
  if (vocabSize > 1) expect(seen.changed).toBeGreaterThan(0);
  for (const handle of [stack, pool, weights.arena]) binding.release(handle);
});
