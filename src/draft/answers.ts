/**
 * @file What a model said about the nodes of a step. With odds, candidates are as likely as tokens of that rank and probability have
 * turned out to be: a target that always takes its first choice agrees with a model's first one more often than the model's
 * probability says.
 */

import type { NodeIndex, TokenId } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { type Candidates, pickedAt, type StepOutcome } from "./drafter.ts";

export const NOTHING: Candidates = { tokens: [], probs: [] };
/** Classes of probability, for first candidates and for all others. */
const CLASSES = 16;

/** How often the target takes a candidate: at first as often as the model says. Texts of one target may share it. */
export function modelOdds(): Calibration {
  const middles = Array.from({ length: CLASSES }, (_, i) => (i + 0.5) / CLASSES);
  return new Calibration([...middles, ...middles]);
}

function classOf(prob: number, rank: number): number {
  return Math.min(CLASSES - 1, Math.floor(prob * CLASSES)) + (rank === 0 ? 0 : CLASSES);
}

export class Answers {
  readonly #odds: Calibration | undefined;
  /** By place of the node. */
  readonly #candidates: (Candidates | undefined)[] = [];
  readonly #classes: number[][] = [];

  /** `odds`, from {@link modelOdds}; without, probabilities are the model's. */
  constructor(odds?: Calibration) {
    this.#odds = odds;
  }

  /** Forgets the answers, not the odds. */
  clear(): void {
    this.#candidates.length = 0;
  }

  /** Notes what row `row` of a pass says about the node at `place`. */
  note(
    place: NodeIndex,
    pass: { readonly k: number; readonly tokens: Int32Array; readonly logProbs: Float32Array },
    row: number,
  ): void {
    const tokens: TokenId[] = [];
    const probs: number[] = [];
    const classes: number[] = [];
    for (let rank = 0; rank < pass.k; rank++) {
      const at = row * pass.k + rank;
      const said = Math.exp(pass.logProbs[at]!);
      tokens.push(pass.tokens[at]!);
      if (this.#odds) classes.push(classOf(said, rank));
      probs.push(this.#odds ? this.#odds.probs[classes[rank]!]! : said);
    }
    this.#classes[place] = classes;
    this.#candidates[place] = { tokens, probs };
  }

  /** The candidates of the node at `place`; none where nothing was said. */
  at(place: NodeIndex | undefined): Candidates {
    return (place === undefined ? undefined : this.#candidates[place]) ?? NOTHING;
  }

  /** Counts which candidates the target took at `places`, those of the accepted path from the root on. */
  learn(outcome: StepOutcome, places: readonly NodeIndex[]): void {
    for (const [i, place] of places.entries()) {
      const candidates = this.#candidates[place];
      if (candidates === undefined) continue;
      const picked = pickedAt(outcome, i);
      for (const [rank, index] of this.#classes[place]!.entries())
        this.#odds?.observe(index, candidates.tokens[rank] === picked);
    }
  }
}
