import { expect, it } from "vitest";
import { History } from "../sampling/history.ts";
import { type PenaltyRule, penalise } from "../target/penalties.ts";
import type { Pass } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { ModelDrafter } from "./model.ts";
import { PenaltyForecast } from "./penalties.ts";

const VOCAB = 48;
const TEXT = [3, 9, 9, 20, 3, 41, 7, 9];

function historyOf(tokens: readonly number[]): History {
  const history = new History(tokens.slice(0, 3));
  for (const token of tokens.slice(3)) history.push(token);
  return history;
}

function ruleOf(history: History, rule: Partial<PenaltyRule>): PenaltyRule {
  return { repetition: 1, frequency: 0, presence: 0, text: history.counts, listed: 1, ...rule };
}

/** The row of a toy behind the text. */
async function rowOf(penalties: PenaltyRule): Promise<Pass> {
  const sequence = await new ToyTarget().createSequence({ capacity: TEXT.length });
  await sequence.prefill(TEXT.slice(0, -1));
  return await sequence.forward(new DraftTree(TEXT.at(-1)!, 1), { topK: VOCAB, logits: true, penalties });
}

const logSumOf = (logits: Float32Array) => Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit), 0));

it.each([
  { repetition: 1.3 },
  { repetition: 0.5, presence: -1 },
  { frequency: 0.4, presence: 1.5 },
  { repetition: 5, frequency: -0.5 },
])("takes from log-probabilities what penalties take from logits: %o", async (change) => {
  const history = historyOf(TEXT);
  const rule = ruleOf(history, change);
  const forecast = new PenaltyForecast(rule, history.counts);
  const pass = await rowOf(rule);
  const logits = pass.logits(0);
  const logSum = logSumOf(logits);
  // Nothing is known before a row has told.
  expect(forecast.apply(9, -1)).toBe(-1);
  forecast.observe(pass);
  const changed = logits.slice();
  penalise(changed, rule);
  let moved = 0;
  for (const [token, logit] of logits.entries()) {
    expect(forecast.apply(token, logit - logSum)).toBeCloseTo(changed[token]! - logSum, 4);
    if (logit !== changed[token]) moved++;
  }
  expect(moved).toBeGreaterThan(3);
});

it("learns nothing from a row whose best token after penalties is on no list", async () => {
  const history = historyOf(TEXT);
  const rule = ruleOf(history, { frequency: -100 });
  const forecast = new PenaltyForecast(rule, history.counts);
  const pass = await rowOf(rule);
  const best = pass.penalised!.tokens[0]!;
  expect(pass.tokens.indexOf(best)).toBeGreaterThan(0);
  forecast.observe({ ...pass, k: 1, tokens: pass.tokens.subarray(0, 1), penalised: pass.penalised });
  expect(forecast.apply(best, -1)).toBe(-1);
  forecast.observe(pass);
  expect(forecast.apply(best, -1)).toBeCloseTo(99, 3);
});

it("makes a model that is the target itself say what the target says after penalties", async () => {
  const history = historyOf(TEXT);
  const rule = ruleOf(history, { frequency: 0.7, presence: 1 });
  const forecast = new PenaltyForecast(rule, history.counts);
  const pass = await rowOf(rule);
  forecast.observe(pass);
  const drafter = new ModelDrafter(new ToyTarget());
  drafter.couple(undefined, forecast);
  await drafter.begin(TEXT);
  const [answer] = await drafter.expand(new DraftTree(TEXT.at(-1)!, 4), [0], VOCAB);
  const changed = pass.logits(0).slice();
  penalise(changed, rule);
  const order = [...changed.keys()].sort((a, b) => changed[b]! - changed[a]! || a - b);
  expect(answer!.tokens).toEqual(order);
  expect(order).not.toEqual([...pass.tokens]);
  const logSum = logSumOf(changed);
  for (const [rank, token] of order.entries())
    expect(answer!.probs[rank]).toBeCloseTo(Math.exp(changed[token]! - logSum), 4);
});
