import { describe, expect, it } from "vitest";
import { gumbel, positionKey } from "../random.ts";
import { Coupling, MODELS, TABLES } from "./coupling.ts";

const TOKENS = 24;
const LISTED = 12;
const TEXTS = 4000;
/** Every token may be picked. */
const ALL = { topK: 0, topP: 1, minP: 0 };

/** What candidates leave to other tokens. */
const restOf = (probs: readonly number[]) => 1 - probs.reduce((sum, prob) => sum + prob, 0);

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
    const coupling = new Coupling({ ...ALL, seed: i, temperature: 1 });
    coupling.begin(3);
    yield { picked, best: tokens[0]!, tokens, probs, coupling };
  }
}

describe("Coupling", () => {
  it("puts the token first that noise and probabilities pick together, as the target does", () => {
    let [alone, coupled] = [0, 0];
    for (const { picked, best, tokens, probs, coupling } of choices(0)) {
      coupling.apply(tokens, probs, restOf(probs), 2, MODELS);
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
      coupling.apply(tokens, probs, restOf(probs), 2, MODELS);
      if (tokens[0] === picked) hits++;
      expected += probs[0]!;
      before -= Math.log(said);
      loss -= Math.log(probs[tokens.indexOf(picked)] ?? restOf(probs));
    }
    expect(Math.abs(expected - hits) / TEXTS).toBeLessThan(0.03);
    expect(loss).toBeLessThan(0.7 * before);
  });

  it("believes less of tables, whose probabilities are true in the mean of places that differ", () => {
    const losses = { none: 0, tables: 0, models: 0 };
    for (let i = 0; i < TEXTS; i++) {
      // The first of 8 tokens is all but certain in half of the places, and as likely as any in the others.
      const certain = i % 2 === 0;
      const logits = Array.from({ length: 8 }, (_, token) => (certain && token === 0 ? 6 : 0));
      const key = positionKey(i, 5);
      const scores = logits.map((logit, token) => logit + gumbel(key, token));
      const picked = scores.indexOf(Math.max(...scores));
      const coupling = new Coupling({ ...ALL, seed: i, temperature: 1 });
      coupling.begin(5);
      for (const [name, trust] of [
        ["none", { power: 0, unknown: 1 }],
        ["tables", TABLES],
        ["models", MODELS],
      ] as const) {
        const [tokens, probs] = [
          [0, 1],
          [0.556, 0.063],
        ] as [number[], number[]];
        coupling.apply(tokens, probs, restOf(probs), 0, trust);
        losses[name] -= Math.log(probs[tokens.indexOf(picked)] ?? restOf(probs));
      }
    }
    expect(losses.tables).toBeLessThan(losses.none);
    expect(losses.tables).toBeLessThan(losses.models);
  });

  it("keeps the tokens, likeliest first, and leaves something to others", () => {
    for (const { tokens, probs, coupling } of choices(1)) {
      const known = [...tokens].sort();
      coupling.apply(tokens, probs, restOf(probs), 2, MODELS);
      expect([...tokens].sort()).toEqual(known);
      expect(probs).toEqual([...probs].sort((a, b) => b - a));
      expect(restOf(probs)).toBeGreaterThan(0);
    }
  });

  it("knows the noise of the step and the depth alone", () => {
    const said = (length: number, depth: number) => {
      const coupling = new Coupling({ ...ALL, seed: 3, temperature: 0.8 });
      coupling.begin(length);
      const [tokens, probs] = [
        [1, 2, 3],
        [0.3, 0.3, 0.3],
      ];
      coupling.apply(tokens!, probs!, 0.1, depth, MODELS);
      return [tokens, probs];
    };
    expect(said(10, 2)).toEqual(said(12, 0));
    expect(said(10, 2)).not.toEqual(said(10, 1));
  });

  it("keeps what filters would, and half of what they would cut", () => {
    const probs = [0.5, 0.2, 0.1, 0.1, 0.05, 0.01];
    const kept = (filters: Partial<typeof ALL>) =>
      new Coupling({ ...ALL, ...filters, seed: 1, temperature: 1 }).kept(probs, 1);
    expect(kept({})).toBe(6);
    expect(kept({ topK: 3 })).toBe(3);
    expect(kept({ topK: 30 })).toBe(6);
    // Of 0.5 that top-p cuts, 0.25 stay.
    expect(kept({ topP: 0.5 })).toBe(3);
    expect(kept({ topP: 0.01 })).toBe(2);
    expect(kept({ minP: 0.3 })).toBe(4);
    expect(kept({ minP: 1 })).toBe(1);
    expect(new Coupling({ ...ALL, seed: 1, temperature: 1 }).kept([], 1)).toBe(0);
  });

  it("takes no candidates, and certain ones", () => {
    const coupling = new Coupling({ ...ALL, seed: 3, temperature: 0.8 });
    const [none, certain] = [[] as number[], [1]];
    coupling.apply([], none, 1, 0, MODELS);
    coupling.apply([4], certain, 0, 0, MODELS);
    expect(none).toEqual([]);
    expect(certain[0]).toBeGreaterThan(0.9);
  });
});
