/**
 * @file EESD's Beta-TS (arXiv:2406.03853): behind every drafted token a coin says whether another one follows, and the coin's chance is a
 * Thompson sample of how often drafts are right. Drawn anew for every token, it would be no more than their mean; so it is drawn once for
 * every step.
 */

import { BetaPosterior, trialsOf } from "./posterior.ts";
import type { StopRule } from "./stop-rule.ts";

/** Rules that share a posterior learn together. The first level is always asked for: nothing is learnt without. */
export function betaTs(posterior = new BetaPosterior()): StopRule {
  let theta = 1;
  return {
    continue({ levels }) {
      if (levels > 0) return posterior.draw() < theta;
      theta = posterior.sample();
      return true;
    },
    observe(outcome) {
      const trials = trialsOf(outcome);
      const hits = trials.filter(({ hit }) => hit).length;
      if (trials.length > 0) posterior.observe(hits, trials.length - hits);
    },
  };
}
