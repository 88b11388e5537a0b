/**
 * @file What a model and tables say about one node, made one: with some probability the target copies what tables found, otherwise the model
 * has its say (a mixture, as in pointer-generator networks, arXiv:1704.04368). Finds that never come true leave the model's guesses as they are.
 *
 * How often a find is copied although the model thinks as it does is counted as it runs, by how likely the tables take it to be. One that
 * comes true counts for as much as it was they who said so (expectation-maximization).
 */

import { Calibration } from "../draft/calibrate.ts";
import type { Candidates } from "../draft/drafter.ts";
import type { Learnt } from "../draft/learnt.ts";
import type { TokenId } from "../types.ts";
import type { Fused } from "./fuse.ts";

/** The tables' probabilities that are counted apart, by the least. */
const BOUNDS = [0, 0.05, 0.15, 0.3, 0.5, 0.65, 0.8, 0.9, 0.96];
/** First guesses, as counted on texts of our own: what is unlikely by itself says next to nothing against a model. */
const COPIED = [0.003, 0.012, 0.02, 0.045, 0.15, 0.39, 0.61, 0.74, 0.88];
/** Of tokens that the model cannot say: as likely as tables take them to be. */
const UNSAID = [0.02, 0.1, 0.22, 0.4, 0.57, 0.73, 0.85, 0.93, 0.98];
/** The most of the probability that finds of one node take. */
const MOST = 0.98;

/** A token that tables found, and how likely it is copied. */
interface Find {
  readonly token: TokenId;
  readonly index: number;
  readonly copied: number;
}

/** What was made of the answers about one node. */
export interface Mixture {
  readonly candidates: Fused[];
  /** None when the model was silent. */
  readonly finds: readonly Find[];
}

/** Class: of the tables' probability, first for tokens that the model could say, then for others. Texts of one target may share it. */
export class CopyOdds extends Calibration {
  readonly learnt: Learnt = { "copying.odds": this };

  constructor() {
    super([...COPIED, ...UNSAID]);
  }

  /** `model`: its answer, of which drafter 0 is the source; `found`: what tables say. Tokens that are there by both have the sources of both. */
  mix(model: Candidates, found: readonly Fused[], couldSay: (token: TokenId) => boolean): Mixture {
    if (model.tokens.length === 0) return { candidates: [...found], finds: [] };
    const classes = found.map(({ token, prob }) => classOf(prob, couldSay(token)));
    const sum = classes.reduce((sum, index) => sum + this.probs[index]!, 0);
    const scale = Math.min(1, MOST / sum);
    const finds = found.map(({ token }, i) => {
      const index = classes[i]!;
      return { token, index, copied: scale * this.probs[index]! };
    });
    const left = 1 - scale * sum;
    const candidates = model.tokens.map((token, i) => ({ token, prob: left * model.probs[i]!, sources: 1 }));
    for (const [i, { token, copied }] of finds.entries()) {
      const { sources } = found[i]!;
      const same = candidates.find((candidate) => candidate.token === token);
      if (same === undefined) candidates.push({ token, prob: copied, sources });
      else {
        same.prob += copied;
        same.sources |= sources;
      }
    }
    return { candidates: candidates.sort((a, b) => b.prob - a.prob), finds };
  }

  /** The target picked `picked` at the node. */
  learn({ candidates, finds }: Mixture, picked: TokenId): void {
    for (const { token, index, copied } of finds) {
      const prob = candidates.find((candidate) => candidate.token === token)!.prob;
      this.observe(index, token === picked ? copied / prob : 0);
    }
  }
}

function classOf(prob: number, couldSay: boolean): number {
  return BOUNDS.findLastIndex((least) => least <= prob) + (couldSay ? 0 : BOUNDS.length);
}
