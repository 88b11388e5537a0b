import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { gumbel, positionKey } from "../random.ts";
import { penalise } from "../target/penalties.ts";
import { pickToken } from "../target/pick.ts";
import type { Pass, Want } from "../target/target.ts";
import { cutRow } from "./cut.ts";
import { History } from "./history.ts";
import { type SamplingSettings, samplingSettings } from "./options.ts";
import { createSampler } from "./sampler.ts";

const orderOf = (logits: Float32Array) => [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);

/** A pass of one row behind `history`, with what `want` asks for. */
function passOf(logits: Float32Array, { topK, pick, penalties }: Want, history: History): Pass {
  const order = orderOf(logits);
  const changed = logits.slice();
  if (penalties) penalise(changed, penalties);
  const best = orderOf(changed);
  const listed = best.slice(0, penalties?.listed ?? 0);
  const max = logits[order[0]!]!;
  const logSum = Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - max), 0));
  const list = order.slice(0, topK);
  const picks = pick ? [pickToken(changed, best[0]!, pick, positionKey(pick.seed, history.length))] : [];
  return {
    size: 1,
    k: list.length,
    tokens: Int32Array.from(list),
    logProbs: Float32Array.from(list, (token) => logits[token]! - max - logSum),
    picks: Int32Array.from(picks),
    penalised: penalties && {
      k: listed.length,
      tokens: Int32Array.from(listed),
      logits: Float32Array.from(listed, (token) => changed[token]!),
    },
    logits: () => logits,
    hidden: () => new Float32Array(0),
  };
}

/** The token that is picked behind `history`, out of a pass with `more` top tokens than the sampler asks for. */
function pickOf(settings: SamplingSettings, logits: Float32Array, history: History, more = 0): number {
  const sampler = createSampler(settings, history);
  const { want } = sampler;
  const penalties = want.penalties && { ...want.penalties, listed: want.penalties.listed + more };
  return sampler.pick(passOf(logits, { ...want, topK: want.topK + more, penalties }, history), 0);
}

/** The obvious way, on whole sorted arrays. */
function reference(row: Float32Array, settings: SamplingSettings, history: History): number {
  const logits = Float64Array.from(row);
  const { size, tokens, generated: counts } = history.counts;
  for (let i = 0; i < size; i++) {
    const [token, generated] = [tokens[i]!, counts[i]!];
    const penalty = settings.repetitionPenalty;
    logits[token] = logits[token]! > 0 ? logits[token]! / penalty : logits[token]! * penalty;
    logits[token]! -= generated * settings.frequencyPenalty + (generated ? settings.presencePenalty : 0);
  }
  const order = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (settings.temperature === 0) return order[0]!;
  const weight = (token: number) => Math.exp((logits[token]! - logits[order[0]!]!) / settings.temperature);
  let kept = settings.topK > 0 ? order.slice(0, settings.topK) : order;
  const mass = kept.reduce((sum, token) => sum + weight(token), 0);
  let before = 0;
  kept = kept.filter((token) => {
    const inside = before < settings.topP * mass;
    before += weight(token);
    return inside || settings.topP === 1;
  });
  kept = kept.filter((token) => weight(token) >= settings.minP);
  const key = positionKey(settings.seed, history.length);
  const score = (token: number) => Math.log(weight(token)) + gumbel(key, token);
  return kept.reduce((best, token) => (score(token) > score(best) ? token : best));
}

const rows = fc
  .tuple(fc.integer({ min: 2, max: 300 }), fc.nat(), fc.constantFrom(0.1, 1, 4, 30))
  .map(([size, seed, spread]) => {
    const key = positionKey(seed, 0);
    return Float32Array.from({ length: size }, (_, token) => spread * gumbel(key, token));
  });

describe("sampler", () => {
  it("picks what sorting everything would pick, for any settings", () => {
    fc.assert(
      fc.property(
        rows,
        fc.record({
          temperature: fc.constantFrom(0, 0.2, 1, 3),
          topK: fc.constantFrom(0, 1, 2, 7, 40, 290),
          topP: fc.constantFrom(0.1, 0.5, 0.95, 1),
          minP: fc.constantFrom(0, 0.03, 0.4, 1),
          repetitionPenalty: fc.constantFrom(1, 1.2, 0.7),
          frequencyPenalty: fc.constantFrom(0, 0.5),
          presencePenalty: fc.constantFrom(0, -1),
          seed: fc.nat(),
        }),
        fc.array(fc.nat(1), { maxLength: 6 }),
        (logits, options, text) => {
          const settings = samplingSettings(options);
          const history = new History([1]);
          for (const token of text) history.push(token);
          expect(pickOf(settings, logits, history, 7)).toBe(reference(logits, settings, history));
        },
      ),
      { numRuns: 1500 },
    );
  });

  it("picks the same from a list of top tokens as from the whole row", () => {
    fc.assert(
      fc.property(
        rows,
        fc.integer({ min: 1, max: 256 }),
        fc.nat(),
        fc.constantFrom(0.5, 1),
        (logits, topK, seed, topP) => {
          const settings = samplingSettings({ temperature: 0.8, topK, topP, seed });
          const history = new History([0]);
          // A penalty that no token of the text is subject to.
          for (const presencePenalty of [0, 1]) {
            const list = { ...settings, presencePenalty };
            const { want } = createSampler(list, history);
            expect(want.logits).toBeUndefined();
            expect(want.pick).toBeUndefined();
            expect(pickOf(list, logits, history, 3)).toBe(reference(logits, settings, history));
          }
        },
      ),
    );
  });

  it("reads whole rows for a top-k that no list holds alone", () => {
    const reads = (options: Partial<SamplingSettings>) =>
      createSampler(samplingSettings({ temperature: 0.8, ...options }), new History([0])).want.logits;
    expect([{ topP: 0.95 }, { topP: 0.95, minP: 0.1, presencePenalty: 1 }, {}].map(reads)).toEqual([
      false,
      false,
      false,
    ]);
    expect([{ topK: 257 }, { topK: 257, topP: 0.5 }].map(reads)).toEqual([true, true]);
  });

  it("follows the softmax: chi-square over 40,000 positions", () => {
    const logits = Float32Array.from([2, 1.5, 1, 0, 0, -0.5, -1, -3]);
    for (const [options, kept] of [
      [{ temperature: 1 }, 8],
      [{ temperature: 0.6 }, 8],
      [{ temperature: 1, topK: 8 }, 8],
      [{ temperature: 1, topK: 3 }, 3],
      [{ temperature: 2, minP: Math.exp(-1.3) }, 6],
      // Four tokens have 0.885 of all, five 0.942.
      [{ temperature: 1, topP: 0.9 }, 5],
    ] as const) {
      const settings = samplingSettings({ ...options, seed: 11 });
      const history = new History([0]);
      const seen = new Float64Array(8);
      const draws = 40_000;
      for (let i = 0; i < draws; i++) {
        const token = pickOf(settings, logits, history);
        seen[token]!++;
        history.push(token);
      }
      const weights = logits.slice(0, kept).map((logit) => Math.exp(logit / options.temperature));
      const sum = weights.reduce((a, b) => a + b);
      let chiSquare = 0;
      for (let token = 0; token < kept; token++) {
        const expected = (draws * weights[token]!) / sum;
        chiSquare += (seen[token]! - expected) ** 2 / expected;
      }
      // 99.9 % quantile for 7 degrees of freedom.
      expect(chiSquare).toBeLessThan(24.32);
      expect(seen.slice(kept).every((count) => count === 0)).toBe(true);
    }
  });

  it("is greedy with the lowest id of equals, from a list of one", () => {
    const row = Float32Array.from([0, 3, 3, 1]);
    expect(createSampler(samplingSettings({}), new History([0])).want).toEqual({ topK: 1 });
    expect(pickOf(samplingSettings({}), row, new History([0]), 1)).toBe(1);
    const penalised = samplingSettings({ presencePenalty: 1 });
    expect(createSampler(penalised, new History([0])).want.logits).toBeUndefined();
    expect(pickOf(penalised, row, new History([1]))).toBe(1);
  });

  it("penalises by what the text holds", () => {
    const logits = Float32Array.from([2, 1.9, -1, 1]);
    const pick = (options: Partial<SamplingSettings>, generated: number[]) => {
      const history = new History([3]);
      for (const token of generated) history.push(token);
      return pickOf(samplingSettings(options), logits, history);
    };
    expect(pick({ repetitionPenalty: 1.1 }, [])).toBe(0);
    expect(pick({ repetitionPenalty: 1.1 }, [0])).toBe(1);
    expect(pick({ presencePenalty: 0.2 }, [0, 1])).toBe(0);
    expect(pick({ frequencyPenalty: 0.2 }, [0, 0, 1])).toBe(1);
    // The prompt's tokens count for repetition alone.
    expect(pick({ frequencyPenalty: -5, presencePenalty: -5 }, [])).toBe(0);
    expect(pick({ repetitionPenalty: 0.4 }, [])).toBe(3);
  });

  it("depends on seed and position, not on what was picked before", () => {
    const logits = new Float32Array(50);
    const picks = (seed: number) => {
      const settings = samplingSettings({ temperature: 1, seed });
      return Array.from({ length: 30 }, (_, length) =>
        pickOf(settings, logits, new History(new Array(length + 1).fill(0))),
      );
    };
    expect(picks(1)).toEqual(picks(1));
    expect(picks(1)).not.toEqual(picks(2));
    expect(new Set(picks(1)).size).toBeGreaterThan(10);
  });
});

describe("samplingSettings", () => {
  it.each([
    [{ temperature: -0.1 }, "temperature is -0.1"],
    [{ temperature: Number.NaN }, "temperature is NaN"],
    [{ temperature: 101 }, "temperature is 101"],
    [{ topK: 1.5 }, "topK is 1.5"],
    [{ topP: 0 }, "topP is 0"],
    [{ topP: 1.01 }, "topP is 1.01"],
    [{ minP: -1 }, "minP is -1"],
    [{ repetitionPenalty: 0 }, "repetitionPenalty is 0"],
    [{ frequencyPenalty: Infinity }, "frequencyPenalty is Infinity"],
    [{ presencePenalty: Number.NaN }, "presencePenalty is NaN"],
    [{ seed: -1 }, "seed is -1"],
    [{ seed: 2 ** 32 }, "seed is 4294967296"],
  ])("refuses %o", (options, message) => {
    expect(() => samplingSettings(options)).toThrow(RangeError);
    expect(() => samplingSettings(options)).toThrow(message);
  });

  it("refuses what is no number", () => {
    expect(() => samplingSettings({ temperature: "1" as unknown as number })).toThrow(TypeError);
  });
});

/** Whether some of `weights`, from the first on, have nearly the part `topP` of all. */
function isOnBorder(weights: number[], topP: number): boolean {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  let before = 0;
  return weights.some((weight) => {
    before += weight;
    return Math.abs(before / total - topP) < 1e-6;
  });
}

describe("cutRow", () => {
  it("keeps what a pass keeps that picks with top-p", () => {
    fc.assert(
      fc.property(
        rows,
        fc.constantFrom(0, 1, 8),
        fc.constantFrom(0.1, 1, 1.25, 5),
        fc.oneof(
          fc.constantFrom(0.05, 0.5, 0.9, 0.95, 0.999),
          fc.double({ min: 0.001, max: 0.9999, noNaN: true }),
        ),
        fc.constantFrom(Infinity, 3, 0.5),
        fc.nat(),
        (row, levels, scale, topP, reach, seed) => {
          // With few levels there are many ties.
          const logits = levels ? row.map((logit) => Math.round(logit * levels) / levels) : row;
          const order = orderOf(logits);
          const top = order[0]!;
          // One sums up doubles, the other floats: of a border nearer than these can tell they may think differently.
          fc.pre(
            !isOnBorder(
              order.map((token) => Math.exp((logits[token]! - logits[top]!) * scale)),
              topP,
            ),
          );
          const key = positionKey(seed, 1);
          const cut = cutRow(logits, logits[top]!, scale, 0, topP);
          const within = { seed, scale, reach: Math.min(reach, cut.delta) };
          const last = cut.delta <= reach ? cut.token : undefined;
          expect(pickToken(logits, top, { seed, scale, reach, topP }, key)).toBe(
            pickToken(logits, top, within, key, last),
          );
        },
      ),
      { numRuns: 2000 },
    );
  });

  it("keeps everything when nothing limits", () => {
    const cut = cutRow(Float32Array.from([1, 2, 3]), 3, 1, 0, 1);
    expect(cut.delta).toBe(Infinity);
  });
});
