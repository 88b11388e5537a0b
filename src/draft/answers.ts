/**
 * @file What a model said about the nodes of a step. With odds, candidates are as likely as tokens of that rank and probability have
 * turned out to be: a target that always takes its first choice agrees with a model's first one more often than the model's
 * probability says.
 */

import type { NodeIndex } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { CandidateList } from "./candidate-list.ts";
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

  /** `odds`, from {@link modelOdds}; without, probabilities are the model's. */
  constructor(odds?: Calibration) {
    this.#odds = odds;
  }

  /** Forgets the answers, not the odds. */
  clear(): void {
    for (let place = 0; place < this.#all.length; place++) this.#all[place]!.said = false;
  }

  /** Notes what row `row` of a pass says about the node at `place`. */
  note(
    place: NodeIndex,
    pass: { readonly k: number; readonly tokens: Int32Array; readonly logProbs: Float32Array },
    row: number,
  ): void {
    while (this.#all.length <= place) this.#all.push(new Answer());
    const answer = this.#all[place]!;
    const { candidates, classes } = answer;
    candidates.begin();
    for (let rank = 0; rank < pass.k; rank++) {
      const at = row * pass.k + rank;
      const said = Math.exp(pass.logProbs[at]!);
      const index = classOf(said, rank);
      classes[rank] = index;
      candidates.add(pass.tokens[at]!, this.#odds ? this.#odds.probs[index]! : said);
    }
    candidates.end();
    answer.said = true;
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
