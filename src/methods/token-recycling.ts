/** @file Token Recycling (arXiv:2408.08696): the recycling matrix, grown in the paper's template. */

import { RecycleDrafter, RecycleMatrix } from "../draft/recycle.ts";
import { BestFirst } from "../structure/best-first.ts";
import { RECYCLING_TEMPLATE } from "../structure/template.ts";
import type { Method, MethodOptions } from "./method.ts";

export function tokenRecycling({ vocabSize }: MethodOptions): Method {
  const matrix = new RecycleMatrix(vocabSize);
  return {
    name: "token-recycling",
    learnt: matrix.learnt,
    compose: () => ({
      structure: new BestFirst(RECYCLING_TEMPLATE),
      drafters: [new RecycleDrafter(matrix)],
    }),
  };
}
