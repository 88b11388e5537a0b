/** @file Prompt lookup: what followed the same words earlier in prompt and text. */

import { LookupDrafter, LookupOdds } from "../draft/lookup.ts";
import { BestFirst } from "../structure/best-first.ts";
import type { Method } from "./method.ts";

export function promptLookup(): Method {
  const odds = new LookupOdds();
  return {
    name: "prompt-lookup",
    compose: () => ({ structure: new BestFirst(), drafters: [new LookupDrafter(odds)] }),
  };
}
