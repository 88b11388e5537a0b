/**
 * @file What a model said about the nodes of a step. With odds, candidates are as likely as tokens of that rank and probability have
 * turned out to be: a target that always takes its first choice agrees with a model's first one more often than the model's
 * probability says.
 */

import { CHAIN_ODDS } from "../target/target.ts";
import type { NodeIndex, Position } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { CandidateList } from "./candidate-list.ts";
import { type Coupling, LISTED, MODELS, RANKED } from "./coupling.ts";
import { type Candidates, pickedAt, type StepOutcome } from "./drafter.ts";
import type { PenaltyForecast } from "./penalties.ts";

export const NOTHING: Candidates = { tokens: [], probs: [] };
/** Classes of probability: for first candidates and for all others, of greedy texts and of sampled ones. */
const CLASSES = CHAIN_ODDS;
const KINDS = 4;
/** What tokens that a model did not list count for: each is about as likely as the last that it did, and their noise is hardly better. */
const OTHERS = 0.6;

/** How often the target takes a candidate: at first as often as the model says. Texts of one target may share it. */
export function modelOdds(): Calibration {
  const middles = Array.from({ length: CLASSES }, (_, i) => (i + 0.5) / CLASSES);
  return new Calibration(Array.from({ length: KINDS }, () => middles).flat());
}

function classOf(prob: number, rank: number, sampled: boolean): number {
  const kind = (rank === 0 ? 0 : 1) + (sampled ? 2 : 0);
  return Math.min(CLASSES - 1, Math.floor(prob * CLASSES)) + kind * CLASSES;
}

/** What was said about one node. */
class Answer {
  said = false;
  readonly candidates = new CandidateList();
  readonly classes: number[] = [];
}

export class Answers {
  readonly #odds: Calibration | undefined;
  /** By place of the node. */
  readonly #all: Answer[] = [];
  /** Of a sampled text. */
  coupling: Coupling | undefined;
  /** Of a text that has some. */
  penalties: PenaltyForecast | undefined;

  /** `odds`, from {@link modelOdds}; without, probabilities are the model's. */
  constructor(odds?: Calibration) {
    this.#odds = odds;
  }

  /** Forgets the answers, not the odds. */
  clear(): void {
    for (let place = 0; place < this.#all.length; place++) this.#all[place]!.said = false;
  }

  /** How many tokens a model that knows `most` is to list, the likeliest, where at most `width` candidates are wanted. */
  topK(width: number, most: number): number {
    return Math.min(this.coupling ? Math.max(width, LISTED) : width, most);
  }

  /**
   * The same of a head, and the noise that it lists with instead: a sampled text's, unless filters keep that from picking the unlikely. `ahead`: positions of
   * the text before that of the head's first row.
   */
  lists(width: number, most: number, ahead: Position) {
    const { coupling } = this;
    if (!coupling || coupling.cuts) return { topK: this.topK(width, most), noise: undefined };
    const { seed, temperature } = coupling.picking;
    return { topK: Math.min(Math.max(width, RANKED), most), noise: { seed, temperature, ahead } };
  }

  /** Notes what row `row` of a pass says about the node at `place`, which is `depth` below the root: at most `width` candidates. */
  note(
    place: NodeIndex,
    pass: { readonly k: number; readonly tokens: Int32Array; readonly logProbs: Float32Array },
    row: number,
    { depth, width }: { readonly depth: number; readonly width: number },
  ): void {
    while (this.#all.length <= place) this.#all.push(new Answer());
    const answer = this.#all[place]!;
    const { candidates, classes } = answer;
    const { coupling, penalties } = this;
    const power = 1 / (coupling?.picking.temperature ?? 1);
    candidates.begin();
    let rest = 1;
    let listed = 0;
    const from = row * pass.k;
    for (let at = from; at < from + pass.k; at++) {
      const token = pass.tokens[at]!;
      const logProb = pass.logProbs[at]!;
      const left = penalties ? penalties.apply(token, logProb) : logProb;
      const prob = Math.exp(left);
      candidates.insert(token, power === 1 ? prob : Math.exp(left * power), pass.k);
      rest -= left === logProb ? prob : Math.exp(logProb);
      listed += prob;
    }
    candidates.end();
    if (penalties && !coupling) candidates.divide(listed + Math.max(0, rest));
    if (coupling) {
      rest *= OTHERS * Math.exp(pass.logProbs[from + pass.k - 1]! * (power - 1));
      if (coupling.cuts) rest = candidates.keep(coupling, rest);
      coupling.apply(candidates.tokens, candidates.probs, rest, depth, MODELS);
      candidates.cut(width);
    }
    for (let rank = 0; rank < candidates.tokens.length; rank++) {
      const index = classOf(candidates.probs[rank]!, rank, coupling !== undefined);
      classes[rank] = index;
      if (this.#odds) candidates.probs[rank] = this.#odds.probs[index]!;
    }
    answer.said = true;
  }

  /** The chance of a greedy text's first candidate by its probability, in {@link CHAIN_ODDS} classes; without odds, undefined. */
  get chainOdds(): Float64Array | undefined {
    return this.#odds?.probs.subarray(0, CHAIN_ODDS);
  }

  /** The candidates of the node at `place`, valid until the answers are forgotten; none where nothing was said. */
  at(place: NodeIndex | undefined): Candidates {
    const answer = place === undefined ? undefined : this.#all[place];
    return answer?.said ? answer.candidates : NOTHING;
  }

  /** Counts which candidates the target took at `places`, those of the accepted path from the root on. */
  learn(outcome: StepOutcome, places: readonly NodeIndex[]): void {
    if (this.#odds === undefined) return;
    for (let i = 0; i < places.length; i++) {
      const answer = this.#all[places[i]!];
      if (!answer?.said) continue;
      const picked = pickedAt(outcome, i);
      const { candidates, classes } = answer;
      for (let rank = 0; rank < candidates.tokens.length; rank++)
        this.#odds.observe(classes[rank]!, candidates.tokens[rank] === picked);
    }
  }
}
