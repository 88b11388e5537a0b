/**
 * @file AdaEAGLE (arXiv:2412.18910): a chain as long as its predictor says. With a threshold, AdaEAGLE-DDD: it also goes on as long as it
 * is likely.
 */

import { chain } from "../structure/chain.ts";
import { ddd } from "../structure/stop/ddd.ts";
import { ldlp } from "../structure/stop/ldlp.ts";
import { all } from "../structure/stop/stop-rule.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** `threshold`: how far below 0 the logarithm of the chain's probability may fall. */
export function adaeagle(options: MethodOptions, threshold?: number): Method {
  const { lengths } = options;
  if (lengths === undefined) throw new Error("internal: adaeagle was made without a length predictor");
  const drafter = modelDrafter(options);
  const rule = () => (threshold === undefined ? ldlp(lengths) : all(ddd(-threshold), ldlp(lengths)));
  return {
    name: "adaeagle",
    learnt: drafter.learnt,
    compose: () => ({ structure: chain(rule(), drafter.times), drafters: [drafter.make()] }),
  };
}
