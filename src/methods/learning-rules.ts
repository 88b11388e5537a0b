/** @file Stop rules that learn from all texts of a method (EESD, arXiv:2406.03853), and chains of any model that drafts which they end. */

import type { Learnt } from "../draft/learnt.ts";
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

/** Rules for texts that learn together. */
export interface LearningRule {
  /** The rule of one text. */
  readonly make: () => StopRule;
  readonly learnt: Learnt;
}

/** Each by the kind of drafter whose chains it is to end. */
export const learningRules = {
  "beta-ts": (drafter: string): LearningRule => {
    const posterior = new BetaPosterior();
    return { make: () => betaTs(posterior), learnt: { [`${drafter}.posterior`]: posterior } };
  },
  "calibration-ts": (drafter: string): LearningRule => calibrated(drafter, calibrationTs),
  "cost-aware": (drafter: string): LearningRule => calibrated(drafter, costAware),
} as const;

function calibrated(drafter: string, rule: (learnt: Calibrated) => StopRule): LearningRule {
  const both = new Calibrated();
  return {
    make: () => rule(both),
    learnt: { [`${drafter}.posterior`]: both.posterior, [`${drafter}.weight`]: both },
  };
}

/** A rule that stops at the longest chain as well. */
export function bounded(rule: StopRule): StopRule {
  return any(rule, fixed(LONGEST));
}

/** A chain that ends where rule `name` says. */
export function learningChain(name: keyof typeof learningRules): (options: MethodOptions) => Method {
  return (options) => {
    const drafter = modelDrafter(options);
    const rule = learningRules[name](drafter.kind);
    return {
      name,
      learnt: { ...drafter.learnt, ...rule.learnt },
      compose: () => ({
        structure: chain(bounded(rule.make()), drafter.times),
        drafters: [drafter.make()],
      }),
    };
  };
}
