import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { uniform } from "../random.ts";
import { logOdds, MIXED, Mixer } from "./mixer.ts";

const odds = (...probs: (number | undefined)[]) =>
  Float64Array.from({ length: MIXED }, (_, i) => (probs[i] === undefined ? 0 : logOdds(probs[i])));
const mixed = (mixer: Mixer, ...probs: (number | undefined)[]) => {
  const sources = probs.reduce<number>((set, prob, i) => (prob === undefined ? set : set | (1 << i)), 0);
  return mixer.mix(Mixer.setOf(sources, false), odds(...probs), 0, 0);
};

describe("Mixer", () => {
  it("at first believes who proposes alone, and several that agree more than each", () => {
    const mixer = new Mixer();
    for (const prob of [0.05, 0.3, 0.9]) {
      expect(mixed(mixer, prob)).toBeCloseTo(prob, 6);
      expect(mixed(mixer, undefined, undefined, prob)).toBeCloseTo(prob, 6);
    }
    expect(mixed(mixer, 0.7, 0.8)).toBeGreaterThan(0.8);
    expect(mixed(mixer, 0.2, 0.1)).toBeLessThan(0.1);
  });

  it("learns what opinions are worth, each set of proposers for itself", () => {
    const mixer = new Mixer();
    const set = Mixer.setOf(1, false);
    const said = odds(0.9);
    for (let i = 0; i < 4000; i++) {
      const prob = mixer.mix(set, said, 0, 0);
      mixer.learn(set, said, 0, 0, prob, uniform(7, i) < 0.4);
    }
    expect(Math.abs(mixed(mixer, 0.9) - 0.4)).toBeLessThan(0.1);
    expect(mixed(mixer, undefined, 0.9)).toBeCloseTo(0.9, 6);
    expect(mixer.mix(Mixer.setOf(1, true), said, 0, 0)).toBeCloseTo(0.9, 6);
  });

  it("stays in (0, 1) and finite, whatever it is told", () => {
    const prob = fc.constantFrom(0, 1e-300, 0.5, 1 - 1e-16, 1);
    fc.assert(
      fc.property(fc.array(fc.tuple(prob, fc.boolean()), { maxLength: 300 }), (told) => {
        const mixer = new Mixer();
        for (const [p, hit] of told) {
          const said = odds(p, 1 - p);
          const value = mixer.mix(Mixer.setOf(3, true), said, 0, Math.max(-6, Math.log(1 - p)));
          expect(value).toBeGreaterThan(0);
          expect(value).toBeLessThan(1);
          mixer.learn(Mixer.setOf(3, true), said, 0, Math.max(-6, Math.log(1 - p)), value, hit);
        }
        expect(mixer.accepts(mixer.values.slice())).toBe(true);
      }),
    );
  });

  it("goes on where another one stopped, and refuses weights that cannot be", () => {
    const [one, other] = [new Mixer(), new Mixer()];
    const said = odds(0.9, 0.5);
    for (let i = 0; i < 100; i++) one.learn(Mixer.setOf(3, false), said, 0, 0, 0.8, false);
    other.values.set(one.values);
    expect(mixed(other, 0.9, 0.5)).toBe(mixed(one, 0.9, 0.5));
    expect(mixed(other, 0.9, 0.5)).toBeLessThan(0.5);
    for (const [at, value] of [
      [0, Number.NaN],
      [3, 1e9],
      [one.values.length - 1, -1],
    ] as const) {
      const wrong = one.values.slice();
      wrong[at] = value;
      expect(one.accepts(wrong)).toBe(false);
    }
  });

  it("priors are what a set begins with, and are learnt away", () => {
    const set = Mixer.setOf(0b10, true);
    const odds = Float64Array.of(0, 1.5, 0, 0, 0);
    const mixer = new Mixer([{ set, drafters: [1, 2], rival: 0.5, bias: -1 }]);
    expect(mixer.mix(set, odds, 0, -1)).toBeCloseTo(1 / (1 + Math.exp(-(2 * 1.5 - 0.5 - 1))), 12);
    const other = Mixer.setOf(0b10, false);
    expect(mixer.mix(other, odds, 0, -1)).toBe(new Mixer().mix(other, odds, 0, -1));
    for (let i = 0; i < 500; i++) mixer.learn(set, odds, 0, -1, mixer.mix(set, odds, 0, -1), i % 4 === 0);
    expect(mixer.mix(set, odds, 0, -1)).toBeCloseTo(0.25, 1);
  });
});
