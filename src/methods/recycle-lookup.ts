/** @file Token Recycling and prompt lookup in one tree: the budget goes to whichever candidate is likelier. */

import { LookupDrafter, LookupOdds } from "../draft/lookup.ts";
import { RecycleDrafter, RecycleMatrix } from "../draft/recycle.ts";
import { BestFirst } from "../structure/best-first.ts";
import type { Method, MethodOptions } from "./method.ts";

export function recycleLookup({ vocabSize }: MethodOptions): Method {
  const matrix = new RecycleMatrix(vocabSize);
  const odds = new LookupOdds();
  return {
    name: "recycle-lookup",
    learnt: matrix.learnt,
    compose: () => ({
      structure: new BestFirst(),
      drafters: [new LookupDrafter(odds), new RecycleDrafter(matrix)],
    }),
  };
}
