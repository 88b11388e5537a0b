import { describe, expect, it } from "vitest";
import { gumbel, positionKey } from "../random.ts";
import { Coupling, restOf } from "./coupling.ts";

const TOKENS = 24;
const LISTED = 12;
const TEXTS = 4000;

/** Probabilities of tokens, by log-odds that are `spread` wide. */
function softmax(logits: readonly number[]): number[] {
  const sum = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  return logits.map((logit) => Math.exp(logit) / sum);
}

/** A target's choices, and what a drafter that is `wrong` about its logits says of them with and without the noise. */
function* choices(wrong: number) {
  for (let i = 0; i < TEXTS; i++) {
    const logits = Array.from({ length: TOKENS }, (_, token) => 1.5 * gumbel(positionKey(7, i), token));
    const said = logits.map((logit, token) => logit + wrong * gumbel(positionKey(8, i), token));
    const key = positionKey(i, 5);
    const scores = logits.map((logit, token) => logit + gumbel(key, token));
    const picked = scores.indexOf(Math.max(...scores));
    const all = softmax(said);
    const tokens = all
      .map((_, token) => token)
      .sort((a, b) => all[b]! - all[a]!)
      .slice(0, LISTED);
    const probs = tokens.map((token) => all[token]!);
    const coupling = new Coupling({ seed: i, temperature: 1 });
    coupling.begin(3);
    yield { picked, best: tokens[0]!, tokens, probs, coupling };
  }
}

describe("Coupling", () => {
  it("puts the token first that noise and probabilities pick together, as the target does", () => {
    let [alone, coupled] = [0, 0];
    for (const { picked, best, tokens, probs, coupling } of choices(0)) {
      coupling.apply(tokens, probs, restOf(probs), 2);
      if (best === picked) alone++;
      if (tokens[0] === picked) coupled++;
    }
    // 12 of 24 tokens are not listed, and these are picked now and then.
    expect(coupled / TEXTS).toBeGreaterThan(0.85);
    expect(alone / TEXTS).toBeLessThan(0.65);
  });

  it("makes probabilities that are true of a drafter as wrong as a draft head", () => {
    let [hits, expected, loss, before] = [0, 0, 0, 0];
    for (const { picked, tokens, probs, coupling } of choices(0.9)) {
      const said = probs[tokens.indexOf(picked)] ?? restOf(probs);
      coupling.apply(tokens, probs, restOf(probs), 2);
      if (tokens[0] === picked) hits++;
      expected += probs[0]!;
      before -= Math.log(said);
      loss -= Math.log(probs[tokens.indexOf(picked)] ?? restOf(probs));
    }
    expect(Math.abs(expected - hits) / TEXTS).toBeLessThan(0.03);
    expect(loss).toBeLessThan(0.7 * before);
  });

  it("keeps the tokens, likeliest first, and leaves something to others", () => {
    for (const { tokens, probs, coupling } of choices(1)) {
      const known = [...tokens].sort();
      coupling.apply(tokens, probs, restOf(probs), 2);
      expect([...tokens].sort()).toEqual(known);
      expect(probs).toEqual([...probs].sort((a, b) => b - a));
      expect(restOf(probs)).toBeGreaterThan(0);
    }
  });

  it("knows the noise of the step and the depth alone", () => {
    const said = (length: number, depth: number) => {
      const coupling = new Coupling({ seed: 3, temperature: 0.8 });
      coupling.begin(length);
      const [tokens, probs] = [
        [1, 2, 3],
        [0.3, 0.3, 0.3],
      ];
      coupling.apply(tokens!, probs!, 0.1, depth);
      return [tokens, probs];
    };
    expect(said(10, 2)).toEqual(said(12, 0));
    expect(said(10, 2)).not.toEqual(said(10, 1));
  });

  it("takes no candidates, and certain ones", () => {
    const coupling = new Coupling({ seed: 3, temperature: 0.8 });
    const [none, certain] = [[] as number[], [1]];
    coupling.apply([], none, 1, 0);
    coupling.apply([4], certain, 0, 0);
    expect(none).toEqual([]);
    expect(certain[0]).toBeGreaterThan(0.9);
  });
});
