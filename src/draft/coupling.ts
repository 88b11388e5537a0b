/**
 * @file What the target's noise says about its next token. A sampled text's noise is looked up by seed and position, never drawn, so a
 * drafter may look it up as well: of its candidates that one is likeliest which its own probabilities pick with the same noise (Gumbel
 * coupling: Daliri, Musco & Suresh, "Coupling without communication and drafter-invariant speculative decoding", arXiv:2408.07978). A
 * drafter that agrees with the target in its probabilities then agrees in every token. The text cannot change: what is accepted is the target's own pick.
 */

import { positionKey, uniform } from "../random.ts";
import type { TextNoise } from "../target/draft-head.ts";
import type { TokenId } from "../types.ts";

/** How well probabilities are those of the target. Fitted to answers of SmolLM2-135M, for its head and for what its texts say again (docs/log.md). */
export interface Trust {
  /** How far noise decides, in [0, 1): 0 leaves probabilities as they are, 1 is for those that are the target's exactly. */
  readonly power: number;
  /** What noise multiplies the probability of tokens by for which it is not looked up, in the mean: E[exp(power * noise)] is Γ(1 - power). */
  readonly unknown: number;
}
/** Of models that draft: their probabilities are meant for the very place. */
export const MODELS: Trust = { power: 0.85, unknown: 6.22 };
/** Of tables: theirs are true in the mean of places that differ. */
export const TABLES: Trust = { power: 0.4, unknown: 1.489 };
/** Of what is left to other tokens, at least. */
const LEAST = 1e-4;

/** Tokens that are worth listing of a sampled text's row: where noise is known when the list is made, and where the likeliest are listed. */
export const RANKED = 12;
export const LISTED = 32;

/** Of the tokens that top-p and min-p would cut by a model's own probabilities, half stay: the target's are others. */
const SLACK = 0.5;

/** How a text's tokens are picked: noise, and which tokens it picks from. */
export interface Picking extends TextNoise {
  /** The likeliest tokens that are kept; 0: all. */
  readonly topK: number;
  /** The likeliest are kept that have this together, in (0, 1]. */
  readonly topP: number;
  /** Tokens are kept that have at least this part of the likeliest's probability, in [0, 1]. */
  readonly minP: number;
}

/** The noise of one text, at the places that a step drafts for. */
export class Coupling {
  readonly picking: Picking;
  #length = 1;

  constructor(picking: Picking) {
    this.picking = picking;
  }

  /** Whether only the likeliest tokens can be picked, so that they are worth listing and not those with the best logit and noise together. */
  get cuts(): boolean {
    const { topK, topP, minP } = this.picking;
    return topK > 0 || topP < 1 || minP > 0;
  }

  /** How many of the tokens with `probs`, likeliest first, may be picked, where all tokens have `sum` together. */
  kept(probs: readonly number[], sum: number): number {
    const { topK, topP, minP } = this.picking;
    const most = topK > 0 ? Math.min(topK, probs.length) : probs.length;
    const least = probs[0]! * minP * SLACK;
    let left = topP < 1 ? (topP + (1 - topP) * SLACK) * sum : Number.POSITIVE_INFINITY;
    let kept = 0;
    while (kept < most && left > 0 && probs[kept]! >= least) left -= probs[kept++]!;
    return kept;
  }

  /** A step begins behind a text of `length` tokens, root included. */
  begin(length: number): void {
    this.#length = length;
  }

  /**
   * Turns the probabilities of `tokens` below a node of `depth` into those under the noise there, likeliest first. `rest`: what others have
   * together, in the same measure as `probs`, which need not sum up to 1 with it.
   */
  apply(tokens: TokenId[], probs: number[], rest: number, depth: number, trust: Trust): void {
    const key = positionKey(this.picking.seed, this.#length + depth);
    const { power, unknown } = trust;
    let sum = Math.max(rest, LEAST) * unknown;
    for (let i = 0; i < tokens.length; i++) {
      const token = tokens[i]!;
      // exp(power * noise), on whose last bits only a draft depends.
      const prob = probs[i]! * (-Math.log(uniform(key, token))) ** -power;
      sum += prob;
      let place = i;
      for (; place > 0 && probs[place - 1]! < prob; place--) {
        probs[place] = probs[place - 1]!;
        tokens[place] = tokens[place - 1]!;
      }
      probs[place] = prob;
      tokens[place] = token;
    }
    for (let i = 0; i < probs.length; i++) probs[i] = probs[i]! / sum;
  }
}
