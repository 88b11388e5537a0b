import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CopyOdds } from "./copying.ts";
import type { Fused } from "./fuse.ts";

const ANY = () => true;
const model = { tokens: [1, 2, 3], probs: [0.5, 0.3, 0.1] };
const find = (token: number, prob: number): Fused => ({ token, prob, sources: 2 });
const probOf = (candidates: readonly Fused[], token: number) =>
  candidates.find((candidate) => candidate.token === token)?.prob;

describe("CopyOdds", () => {
  it("is the model's word where nothing was found, and the tables' where the model is silent", () => {
    const odds = new CopyOdds();
    const alone = model.tokens.map((token, i) => ({ token, prob: model.probs[i]!, sources: 1 }));
    expect(odds.mix(model, [], ANY).candidates).toEqual(alone);
    const found = [find(7, 0.6), find(8, 0.2)];
    expect(odds.mix({ tokens: [], probs: [] }, found, ANY).candidates).toEqual(found);
  });

  it("gives a distribution, best first, each token once, with all who named it", () => {
    const probs = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(probs, probs, fc.nat(6), (said, found, shift) => {
        const sum = said.reduce((a, b) => a + b, 0) || 1;
        const drafted = { tokens: said.map((_, i) => i), probs: said.map((prob) => prob / sum) };
        const finds = found.map((prob, i) => find(i + shift, prob));
        const { candidates } = new CopyOdds().mix(drafted, finds, (token) => token % 2 === 0);
        expect(candidates.reduce((total, { prob }) => total + prob, 0)).toBeLessThan(1 + 1e-9);
        expect(candidates.map(({ prob }) => prob)).toEqual(
          candidates.map(({ prob }) => prob).toSorted((a, b) => b - a),
        );
        const expected = new Map(drafted.tokens.map((token) => [token, 1]));
        for (const { token } of finds) expected.set(token, (expected.get(token) ?? 0) | 2);
        expect(candidates.length).toBe(expected.size);
        expect(new Map(candidates.map(({ token, sources }) => [token, sources]))).toEqual(expected);
      }),
    );
  });

  it("is of the same probability as the tokens that come, whatever model and tables are worth", () => {
    // A token is copied in 3 of 10 cases; otherwise the model's probabilities hold.
    const odds = new CopyOdds();
    const trials = 20_000;
    let seed = 1;
    const next = () => {
      seed = (seed * 48271) % 2147483647;
      return seed / 2147483647;
    };
    const counts = new Map<number, number>();
    for (let trial = 0; trial < trials; trial++) {
      const mixture = odds.mix(model, [find(2, 0.85)], ANY);
      const at = next();
      const own = at < 0.5 ? 1 : at < 0.8 ? 2 : at < 0.9 ? 3 : 4;
      const picked = next() < 0.3 ? 2 : own;
      odds.learn(mixture, picked);
      counts.set(picked, (counts.get(picked) ?? 0) + 1);
    }
    const { candidates } = odds.mix(model, [find(2, 0.85)], ANY);
    for (const token of [1, 2, 3])
      expect(Math.abs(probOf(candidates, token)! - counts.get(token)! / trials)).toBeLessThan(0.04);
  });

  it("keeps apart what the model could have said and what it has no word for", () => {
    const odds = new CopyOdds();
    const of = (couldSay: boolean) => odds.mix(model, [find(9, 0.7)], () => couldSay);
    expect(probOf(of(false).candidates, 9)!).toBeGreaterThan(probOf(of(true).candidates, 9)!);
    for (let step = 0; step < 300; step++) {
      odds.learn(of(true), 9);
      odds.learn(of(false), 1);
    }
    expect(probOf(of(true).candidates, 9)!).toBeGreaterThan(0.9);
    expect(probOf(of(false).candidates, 9)!).toBeLessThan(0.1);
  });

  it("never takes all of the probability, however sure tables are of many tokens", () => {
    const odds = new CopyOdds();
    for (let step = 0; step < 300; step++) odds.learn(odds.mix(model, [find(9, 0.99)], ANY), 9);
    const { candidates } = odds.mix(model, [find(7, 0.99), find(8, 0.99), find(9, 0.99)], ANY);
    expect(probOf(candidates, 1)!).toBeGreaterThan(0);
    expect(candidates.reduce((sum, { prob }) => sum + prob, 0)).toBeLessThan(1);
  });
});
