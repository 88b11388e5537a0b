/** @file A draft head drafts, level by level (EAGLE, arXiv:2401.15077). */

import { modelOdds } from "../draft/answers.ts";
import { EagleDrafter } from "../draft/eagle.ts";
import { ByLevel } from "../structure/by-level.ts";
import type { Method, MethodOptions } from "./method.ts";

const LEVELS = { width: 6, depth: 8 };

export function eagle({ head, contextLength }: MethodOptions): Method {
  if (head === undefined) throw new Error("internal: eagle was made without a draft head");
  const odds = modelOdds();
  return {
    name: "eagle",
    compose: () => ({
      structure: new ByLevel(LEVELS),
      drafters: [new EagleDrafter(head, contextLength, odds)],
    }),
  };
}
