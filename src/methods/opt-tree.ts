/** @file OPT-Tree (arXiv:2406.17276): the tree of the most accepted tokens, grown until another level is not worth its time. */

import { OptTree } from "../structure/opt-tree.ts";
import { delta } from "../structure/stop/delta.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** `threshold`: the paper's delta, in tokens; without, it follows what passes take. */
export function optTree(options: MethodOptions, threshold?: number): Method {
  const drafter = modelDrafter(options);
  return {
    name: "opt-tree",
    learnt: drafter.learnt,
    compose: () => ({ structure: new OptTree(delta(threshold)), drafters: [drafter.make()] }),
  };
}
