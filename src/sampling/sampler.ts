/**
 * @file Picks the target's token out of one row. A pick is a pure function of the row, the text before it and the
 * seed: the noise is looked up by position (Gumbel-max), so drafts cannot change which token it is.
 */

import { gumbel, positionKey } from "../random.ts";
import { type PickRule, pickToken } from "../target/pick.ts";
import type { Pass, Want } from "../target/target.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { cutRow } from "./cut.ts";
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
  if (hasPenalties(settings)) return new PenalisedSampler(settings);
  if (settings.temperature === 0) return new GreedySampler();
  return settings.topK >= 1 && settings.topK <= LONGEST_LIST
    ? new ListSampler(settings)
    : new WholeSampler(settings);
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

/** Samples from the whole vocabulary. What the pass has picked is right unless top-k or top-p cut it off: only then are logits read. */
class WholeSampler implements Sampler {
  readonly want: Want;
  readonly #settings: SamplingSettings;
  readonly #rule: PickRule;

  constructor(settings: SamplingSettings) {
    this.#settings = settings;
    this.#rule = ruleOf(settings);
    this.want = { topK: 1, pick: this.#rule, logits: isCut(settings) };
  }

  pick(pass: Pass, node: NodeIndex, history: History): TokenId {
    const top = pass.tokens[node * pass.k]!;
    const choice = pass.picks[node]!;
    if (choice === top || !isCut(this.#settings)) return choice;
    const key = positionKey(this.#settings.seed, history.length);
    return pickInside(pass.logits(node), top, choice, this.#settings, this.#rule, key);
  }
}

/** Lowers or raises the logits of what the text holds, so that it works on whole rows of them. */
class PenalisedSampler implements Sampler {
  readonly want: Want = { topK: 1, logits: true };
  readonly #settings: SamplingSettings;
  readonly #rule: PickRule;
  #scratch = new Float32Array(0);

  constructor(settings: SamplingSettings) {
    this.#settings = settings;
    this.#rule = ruleOf(settings);
  }

  pick(pass: Pass, node: NodeIndex, history: History): TokenId {
    const logits = this.#penalise(pass.logits(node), history);
    const top = argmax(logits);
    if (this.#settings.temperature === 0) return top;
    const key = positionKey(this.#settings.seed, history.length);
    const choice = pickToken(logits, top, this.#rule, key);
    if (choice === top || !isCut(this.#settings)) return choice;
    return pickInside(logits, top, choice, this.#settings, this.#rule, key);
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

function ruleOf({ seed, temperature, minP }: SamplingSettings): PickRule {
  return { seed, scale: 1 / temperature, reach: -Math.log(minP) };
}

function isCut({ topK, topP }: SamplingSettings): boolean {
  return topK > 0 || topP < 1;
}

/** What is picked among the tokens that top-k and top-p keep, where `choice` is picked among all. */
function pickInside(
  logits: Float32Array,
  top: TokenId,
  choice: TokenId,
  { topK, topP }: SamplingSettings,
  rule: PickRule,
  key: number,
): TokenId {
  const cut = cutRow(logits, logits[top]!, rule.scale, topK, topP);
  const delta = (logits[top]! - logits[choice]!) * rule.scale;
  if (delta < cut.delta || (delta === cut.delta && choice <= cut.token)) return choice;
  return pickToken(logits, top, { ...rule, reach: cut.delta }, key, cut.token);
}
