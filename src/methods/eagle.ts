/** @file A draft head drafts (EAGLE, arXiv:2401.15077), in passes of few rows. */

import { modelOdds } from "../draft/answers.ts";
import { EagleDrafter } from "../draft/eagle.ts";
import { OptTree } from "../structure/opt-tree.ts";
import { delta } from "../structure/stop/delta.ts";
import { fixed } from "../structure/stop/fixed.ts";
import { any } from "../structure/stop/stop-rule.ts";
import type { Method, MethodOptions } from "./method.ts";

const LIMITS = { width: 6, branches: 6 };
const LEVELS = 8;

export function eagle({ head, contextLength }: MethodOptions): Method {
  if (head === undefined) throw new Error("internal: eagle was made without a draft head");
  const odds = modelOdds();
  return {
    name: "eagle",
    learnt: { "eagle.odds-by-sampling": odds },
    compose: () => ({
      structure: new OptTree(any(fixed(LEVELS), delta()), LIMITS),
      drafters: [new EagleDrafter(head, contextLength, odds)],
    }),
  };
}
