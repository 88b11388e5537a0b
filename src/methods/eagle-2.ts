/** @file EAGLE-2's dynamic draft tree (arXiv:2406.16858), to compare with. */

import { eagle2 as structure } from "../structure/eagle-2.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

export function eagle2(options: MethodOptions): Method {
  const drafter = modelDrafter(options);
  return {
    name: "eagle-2",
    learnt: drafter.learnt,
    compose: () => ({ structure: structure(), drafters: [drafter.make()] }),
  };
}
