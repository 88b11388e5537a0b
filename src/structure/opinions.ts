/** @file What drafters say about the tokens below one node of a union, and the probabilities that come of it. */

import type { Candidates } from "../draft/drafter.ts";
import { logOdds, MIXED, Mixer, MOST_ODDS } from "../draft/mixer.ts";
import type { NodeIndex, TokenId } from "../types.ts";

/** The most tokens below one node. */
const ENTRIES = 32;
/** Of a token that is no node yet. */
export const NOTHING = -1;

/** What was said about the tokens below one node. */
export class Opinions {
  size = 0;
  /** Whether the model was asked here. */
  asked = false;
  readonly tokens = new Int32Array(ENTRIES);
  readonly sources = new Int32Array(ENTRIES);
  /** MIXED log-odds an entry, and the largest of its probabilities. */
  readonly odds = new Float64Array(ENTRIES * MIXED);
  readonly largest = new Float64Array(ENTRIES);
  readonly rivals = new Float64Array(ENTRIES);
  readonly probs = new Float64Array(ENTRIES);
  /** The node of each entry; -1 as long as there is none. */
  readonly nodes = new Int32Array(ENTRIES);
  /** Probability that the model gives to the tokens it named. */
  #named = 0;

  clear(): void {
    this.size = 0;
    this.asked = false;
    this.#named = 0;
  }

  /** Takes in what drafter `i` says. */
  add({ tokens, probs }: Candidates, i: number): void {
    const column = Math.min(i, MIXED - 1);
    if (this.asked && i === 0) this.#named = probs.reduce((sum, prob) => sum + prob, 0);
    for (let rank = 0; rank < tokens.length; rank++) {
      const entry = this.#entryOf(tokens[rank]!);
      if (entry === NOTHING) return;
      const prob = probs[rank]!;
      this.sources[entry]! |= 1 << i;
      this.odds[entry * MIXED + column] = logOdds(prob);
      this.largest[entry] = Math.max(this.largest[entry]!, prob);
    }
  }

  /** Mixes what was said into probabilities that sum up to at most 1. */
  mix(mixer: Mixer): void {
    let best = 0;
    let second = 0;
    for (let entry = 0; entry < this.size; entry++) {
      const prob = this.largest[entry]!;
      second = Math.max(second, Math.min(best, prob));
      best = Math.max(best, prob);
    }
    let sum = 0;
    for (let entry = 0; entry < this.size; entry++) {
      const unnamed = this.asked && (this.sources[entry]! & 1) === 0;
      // What a model that was asked does not name can only have what it leaves.
      const rival = unnamed ? Math.min(1, this.#named) : this.largest[entry] === best ? second : best;
      this.rivals[entry] = Math.max(-MOST_ODDS, Math.log(1 - rival));
      const prob = mixer.mix(this.#setOf(entry), this.odds, entry * MIXED, this.rivals[entry]!);
      this.probs[entry] = prob;
      sum += prob;
    }
    if (sum > 1) for (let entry = 0; entry < this.size; entry++) this.probs[entry]! /= sum;
  }

  /** How likely the child `node` would be if drafter `i` had not spoken. */
  probWithout(node: NodeIndex, i: number, mixer: Mixer): number {
    const entry = this.nodes.indexOf(node);
    const sources = this.sources[entry]!;
    if ((sources & (1 << i)) === 0) return this.probs[entry]!;
    if (sources === 1 << i) return 0;
    const at = entry * MIXED + Math.min(i, MIXED - 1);
    const said = this.odds[at]!;
    this.odds[at] = 0;
    const set = Mixer.setOf(sources & ~(1 << i) & (2 ** MIXED - 1), this.asked);
    const prob = mixer.mix(set, this.odds, entry * MIXED, this.rivals[entry]!);
    this.odds[at] = said;
    return prob;
  }

  /** The target picked `token` here. */
  learn(mixer: Mixer, token: TokenId): void {
    for (let entry = 0; entry < this.size; entry++) {
      const hit = this.tokens[entry] === token;
      const { rivals, probs } = this;
      mixer.learn(this.#setOf(entry), this.odds, entry * MIXED, rivals[entry]!, probs[entry]!, hit);
    }
  }

  #setOf(entry: number): number {
    return Mixer.setOf(this.sources[entry]! & (2 ** MIXED - 1), this.asked);
  }

  #entryOf(token: TokenId): number {
    for (let entry = 0; entry < this.size; entry++) if (this.tokens[entry] === token) return entry;
    if (this.size === ENTRIES) return NOTHING;
    const entry = this.size++;
    this.tokens[entry] = token;
    this.sources[entry] = 0;
    this.odds.fill(0, entry * MIXED, (entry + 1) * MIXED);
    this.largest[entry] = 0;
    this.nodes[entry] = NOTHING;
    return entry;
  }
}
