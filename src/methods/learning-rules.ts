/** @file Stop rules that learn from all texts of a method (EESD, arXiv:2406.03853), and chains of any model that drafts which they end. */

import { chain } from "../structure/chain.ts";
import { betaTs } from "../structure/stop/beta-ts.ts";
import { Calibrated, calibrationTs, costAware } from "../structure/stop/calibration-ts.ts";
import { fixed } from "../structure/stop/fixed.ts";
import { BetaPosterior } from "../structure/stop/posterior.ts";
import { any, type StopRule } from "../structure/stop/stop-rule.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** With the root, 12 rows; no rule needs to find out that more do not pay. */
const LONGEST = 11;

/** Each makes rules for texts that learn together. */
export const learningRules = {
  "beta-ts": () => {
    const posterior = new BetaPosterior();
    return () => betaTs(posterior);
  },
  "calibration-ts": () => {
    const learnt = new Calibrated();
    return () => calibrationTs(learnt);
  },
  "cost-aware": () => {
    const learnt = new Calibrated();
    return () => costAware(learnt);
  },
} as const;

/** A rule that stops at the longest chain as well. */
export function bounded(rule: StopRule): StopRule {
  return any(rule, fixed(LONGEST));
}

/** A chain that ends where rule `name` says. */
export function learningChain(name: keyof typeof learningRules): (options: MethodOptions) => Method {
  return (options) => {
    const drafter = modelDrafter(options);
    const rule = learningRules[name]();
    return { name, compose: () => ({ structure: chain(bounded(rule())), drafters: [drafter()] }) };
  };
}
