/**
 * @file What the target's penalties take from the guesses of a model that drafts. A repetition penalty divides a logit, so that what it takes depends on the
 * logit itself; the model tells the logarithm of a probability, which is less by that of a sum over all tokens. That sum is nearly the same
 * in all rows of a model, and the target's rows tell what it is in the text.
 */

import type { TextCounts } from "../sampling/text-counts.ts";
import { type PenaltyRule, penalised } from "../target/penalties.ts";
import type { Pass } from "../target/target.ts";
import type { TokenId } from "../types.ts";

/** What the latest row counts in the running mean. */
const NEWEST = 0.1;

export class PenaltyForecast {
  readonly #rule: PenaltyRule;
  readonly #counts: TextCounts;
  /** Of a row, a logit less its log-probability, in the mean; undefined until a row has told. */
  #logSum: number | undefined;

  /** `counts`: of the text that `rule` is for. */
  constructor(rule: PenaltyRule, counts: TextCounts) {
    this.#rule = rule;
    this.#counts = counts;
  }

  /** Learns from the root's row of a pass; the text ends with the root still. */
  observe({ k, tokens, logProbs, penalised: best }: Pass): void {
    const token = best!.tokens[0]!;
    const rank = tokens.subarray(0, k).indexOf(token);
    if (rank < 0) return;
    const logSum = this.#before(best!.logits[0]!, this.#counts.times(token)) - logProbs[rank]!;
    if (!Number.isFinite(logSum)) return;
    const known = this.#logSum ?? logSum;
    this.#logSum = known + NEWEST * (logSum - known);
  }

  /** What remains of a token's log-probability, but for what all tokens of its row have in common. */
  apply(token: TokenId, logProb: number): number {
    const times = this.#counts.times(token);
    if (times === undefined || this.#logSum === undefined) return logProb;
    return penalised(logProb + this.#logSum, times, this.#rule) - this.#logSum;
  }

  /** The logit that penalties have made `logit` of. */
  #before(logit: number, times: number | undefined): number {
    if (times === undefined) return logit;
    const { repetition, frequency, presence } = this.#rule;
    const repeated = logit + frequency * times + (times > 0 ? presence : 0);
    return repeated > 0 ? repeated * repetition : repeated / repetition;
  }
}
