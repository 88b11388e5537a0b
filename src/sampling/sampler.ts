/**
 * @file Picks the target's token out of one row. A pick is a pure function of the row, the text before it and the
 * seed: the noise is looked up by position (Gumbel-max), so drafts cannot change which token it is.
 */

import { gumbel, positionKey, uniform } from "../random.ts";
import type { Pass, Want } from "../target/target.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { type Cut, cutRow } from "./cut.ts";
import type { History } from "./history.ts";
import { hasPenalties, type SamplingSettings } from "./options.ts";

export interface Sampler {
  /** What it reads of every row. */
  readonly want: Want;
  /** The target's token after `node`, where `history` is the text up to and with that node. */
  pick(pass: Pass, node: NodeIndex, history: History): TokenId;
}

/** The longest list of top tokens that a pass gives. */
const LONGEST_LIST = 256;

/** The cheapest sampler that does what `settings` say. */
export function createSampler(settings: SamplingSettings): Sampler {
  if (hasPenalties(settings)) return new RowSampler(settings);
  if (settings.temperature === 0) return new GreedySampler();
  return settings.topK >= 1 && settings.topK <= LONGEST_LIST
    ? new ListSampler(settings)
    : new RowSampler(settings);
}

/** The most likely token, the lowest id of equals. */
class GreedySampler implements Sampler {
  readonly want: Want = { topK: 1 };

  pick(pass: Pass, node: NodeIndex): TokenId {
    return pass.tokens[node * pass.k]!;
  }
}

/** Samples from a list of the topK most likely tokens, so that a pass need not return whole rows. */
class ListSampler implements Sampler {
  readonly want: Want;
  readonly #settings: SamplingSettings;
  readonly #masses = new Float64Array(LONGEST_LIST);

  constructor(settings: SamplingSettings) {
    this.#settings = settings;
    this.want = { topK: settings.topK };
  }

  pick(pass: Pass, node: NodeIndex, history: History): TokenId {
    const { temperature, topK, topP, minP, seed } = this.#settings;
    const { tokens, logProbs } = pass;
    const start = node * pass.k;
    const count = Math.min(topK, pass.k);
    const delta = (i: number) => (logProbs[start]! - logProbs[start + i]!) / temperature;

    let mass = 0;
    for (let i = 0; i < count; i++) mass += this.#masses[i] = Math.exp(-delta(i));
    let left = topP < 1 ? topP * mass : Infinity;
    const key = positionKey(seed, history.length);
    let best = -Infinity;
    let choice = -1;
    for (let i = 0; i < count && left > 0 && this.#masses[i]! >= minP; i++) {
      left -= this.#masses[i]!;
      const token = tokens[start + i]!;
      const score = gumbel(key, token) - delta(i);
      if (score > best || (score === best && token < choice)) {
        best = score;
        choice = token;
      }
    }
    return choice;
  }
}

/** Works on whole rows of logits: for penalties, and for sampling from more tokens than a list holds. */
class RowSampler implements Sampler {
  readonly want: Want = { topK: 1, logits: true };
  readonly #settings: SamplingSettings;
  readonly #penalised: boolean;
  #scratch = new Float32Array(0);

  constructor(settings: SamplingSettings) {
    this.#settings = settings;
    this.#penalised = hasPenalties(settings);
  }

  pick(pass: Pass, node: NodeIndex, history: History): TokenId {
    const { temperature, topK, topP, minP, seed } = this.#settings;
    let logits = pass.logits(node);
    let top = pass.tokens[node * pass.k]!;
    if (this.#penalised) {
      logits = this.#penalise(logits, history);
      top = argmax(logits);
    }
    if (temperature === 0) return top;
    const scale = 1 / temperature;
    const isCut = (topK > 0 && topK < logits.length) || topP < 1;
    const cut = isCut ? cutRow(logits, logits[top]!, scale, topK, topP) : undefined;
    return sampleRow(logits, top, scale, -Math.log(minP), cut, positionKey(seed, history.length));
  }

  #penalise(row: Float32Array, history: History): Float32Array {
    const { repetitionPenalty, frequencyPenalty, presencePenalty } = this.#settings;
    if (this.#scratch.length !== row.length) this.#scratch = new Float32Array(row.length);
    const logits = this.#scratch;
    logits.set(row);
    for (const [token, generated] of history.counts) {
      const logit = logits[token]!;
      const repeated = logit > 0 ? logit / repetitionPenalty : logit * repetitionPenalty;
      logits[token] = repeated - frequencyPenalty * generated - (generated > 0 ? presencePenalty : 0);
    }
    return logits;
  }
}

function argmax(logits: Float32Array): TokenId {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if (logits[token]! > logits[best]!) best = token;
  return best;
}

/** No noise is larger than this: see {@link gumbel}. */
const MAX_NOISE = 23;
const STEPS = 4;
/** Noise above i / STEPS needs a uniform number above NOISE_NEEDS[i], because -log(u) >= 1 - u. */
const NOISE_NEEDS = Float64Array.from({ length: MAX_NOISE * STEPS + 1 }, (_, i) => 1 - Math.exp(-i / STEPS));

/**
 * The token with the largest (logit - best) * scale + noise, the lowest id of equals, among those at most `reach`
 * below the best and not behind `cut`. The time goes here when a vocabulary is sampled whole: most tokens are
 * dropped by the bound on their noise, before a logarithm is taken.
 */
function sampleRow(
  logits: Float32Array,
  top: TokenId,
  scale: number,
  reach: number,
  cut: Cut | undefined,
  key: number,
): TokenId {
  const topLogit = logits[top]!;
  const farthest = Math.min(reach, cut?.delta ?? Infinity);
  const lastAtCut = cut?.token ?? logits.length;
  let choice = top;
  let best = gumbel(key, top);
  let limit = Math.min(farthest, MAX_NOISE - best);
  for (let token = 0; token < logits.length; token++) {
    const delta = (topLogit - logits[token]!) * scale;
    if (delta > limit) continue;
    const needed = best + delta;
    if (needed > 0 && uniform(key, token) < NOISE_NEEDS[(needed * STEPS) | 0]!) continue;
    if (cut !== undefined && delta === cut.delta && token > lastAtCut) continue;
    const score = gumbel(key, token) - delta;
    if (score > best || (score === best && token < choice)) {
      best = score;
      choice = token;
      limit = Math.min(farthest, MAX_NOISE - best);
    }
  }
  return choice;
}
