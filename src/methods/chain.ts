/** @file What AdaEAGLE (arXiv:2412.18910) is compared with: a chain of a fixed length, or one that ends where it becomes unlikely. */

import { chain as structure } from "../structure/chain.ts";
import { ddd as unlikely } from "../structure/stop/ddd.ts";
import { fixed } from "../structure/stop/fixed.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

const LENGTH = 4;
const THRESHOLD = 0.6;

/** `length` in tokens, 4 without. */
export function chain(options: MethodOptions, length = LENGTH): Method {
  const drafter = modelDrafter(options);
  return {
    name: "chain",
    learnt: drafter.learnt,
    compose: () => ({ structure: structure(fixed(length), drafter.times), drafters: [drafter.make()] }),
  };
}

/** `threshold`: how far below 0 the logarithm of the chain's probability may fall, 0.6 without. */
export function ddd(options: MethodOptions, threshold = THRESHOLD): Method {
  const drafter = modelDrafter(options);
  return {
    name: "ddd",
    learnt: drafter.learnt,
    compose: () => ({
      structure: structure(unlikely(-threshold), drafter.times),
      drafters: [drafter.make()],
    }),
  };
}
