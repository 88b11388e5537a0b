/**
 * @file Picks the target's token out of one row. A pick is a pure function of the row, the text before it and the
 * seed: the noise is looked up by position (Gumbel-max), so drafts cannot change which token it is.
 */

import { gumbel, positionKey } from "../random.ts";
import { penalise } from "../target/penalties.ts";
import { type PickRule, pickToken } from "../target/pick.ts";
import type { Pass, Penalised, Want } from "../target/target.ts";
import type { NodeIndex, TokenId } from "../types.ts";
import { cutRow } from "./cut.ts";
import type { History } from "./history.ts";
import { hasPenalties, type SamplingSettings } from "./options.ts";

export interface Sampler {
  /** What it reads of every row. */
  readonly want: Want;
  /** The target's token after `node`, where the text is the one up to and with that node. */
  pick(pass: Pass, node: NodeIndex): TokenId;
}

/** The longest list of top tokens that a pass gives. */
const LONGEST_LIST = 256;

/** The cheapest sampler that does what `settings` say, for the text of `history`. */
export function createSampler(settings: SamplingSettings, history: History): Sampler {
  const { temperature, topK } = settings;
  if (temperature === 0) return new GreedySampler(listWant(settings, history, 1));
  return topK >= 1 && topK <= LONGEST_LIST
    ? new ListSampler(settings, history)
    : new WholeSampler(settings, history);
}

/** The most likely token, the lowest id of equals. */
class GreedySampler implements Sampler {
  readonly want: Want;

  constructor(want: Want) {
    this.want = want;
  }

  pick(pass: Pass, node: NodeIndex): TokenId {
    const { k, tokens } = bestOf(pass, this.want);
    return tokens[node * k]!;
  }
}

/** Samples from a list of the topK most likely tokens, so that a pass need not return whole rows. */
class ListSampler implements Sampler {
  readonly want: Want;
  readonly #settings: SamplingSettings;
  readonly #history: History;
  readonly #masses = new Float64Array(LONGEST_LIST);

  constructor(settings: SamplingSettings, history: History) {
    this.#settings = settings;
    this.#history = history;
    this.want = listWant(settings, history, settings.topK);
  }

  pick(pass: Pass, node: NodeIndex): TokenId {
    const { temperature, topK, topP, minP, seed } = this.#settings;
    const { k, tokens, logits } = bestOf(pass, this.want);
    const start = node * k;
    const count = Math.min(topK, k);
    const delta = (i: number) => (logits[start]! - logits[start + i]!) / temperature;

    let mass = 0;
    for (let i = 0; i < count; i++) mass += this.#masses[i] = Math.exp(-delta(i));
    let left = topP < 1 ? topP * mass : Infinity;
    const key = positionKey(seed, this.#history.length);
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

/** Samples from the whole vocabulary. What the pass has picked is right unless a top-k too large for a list cuts it off: only then are logits read. */
class WholeSampler implements Sampler {
  readonly want: Want;
  readonly #settings: SamplingSettings;
  readonly #history: History;
  readonly #rule: PickRule;
  #scratch = new Float32Array(0);

  constructor(settings: SamplingSettings, history: History) {
    this.#settings = settings;
    this.#history = history;
    this.#rule = ruleOf(settings);
    this.want = { ...listWant(settings, history, 1), pick: this.#rule, logits: settings.topK > 0 };
  }

  pick(pass: Pass, node: NodeIndex): TokenId {
    const { k, tokens } = bestOf(pass, this.want);
    const top = tokens[node * k]!;
    const choice = pass.picks[node]!;
    if (choice === top || this.#settings.topK === 0) return choice;
    const key = positionKey(this.#settings.seed, this.#history.length);
    return pickInside(this.#logits(pass, node), top, choice, this.#settings, this.#rule, key);
  }

  #logits(pass: Pass, node: NodeIndex): Float32Array {
    const row = pass.logits(node);
    const { penalties } = this.want;
    if (!penalties) return row;
    if (this.#scratch.length !== row.length) this.#scratch = new Float32Array(row.length);
    this.#scratch.set(row);
    penalise(this.#scratch, penalties);
    return this.#scratch;
  }
}

/** The `listed` best tokens of every row, after penalties where there are any. */
function listWant(settings: SamplingSettings, history: History, listed: number): Want {
  if (!hasPenalties(settings)) return { topK: listed };
  const { repetitionPenalty: repetition, frequencyPenalty: frequency, presencePenalty: presence } = settings;
  return { topK: 1, penalties: { repetition, frequency, presence, text: history.counts, listed } };
}

/** Tokens of every row, best first, and their logits, but for what a row's have in common. */
function bestOf(pass: Pass, { penalties }: Want): Penalised {
  return penalties ? pass.penalised! : { k: pass.k, tokens: pass.tokens, logits: pass.logProbs };
}

/** Top-p is of what top-k keeps, which a pass does not know. */
function ruleOf({ seed, temperature, minP, topK, topP }: SamplingSettings): PickRule {
  return { seed, scale: 1 / temperature, reach: -Math.log(minP), topP: topK > 0 ? 1 : topP };
}

/** What is picked among the tokens that top-k, and then top-p, keep, where `choice` is picked among all. */
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
