/**
 * @file A smaller model of the same vocabulary drafts a chain, as long as another token is worth its passes. Its second choices are rarely
 * worth a row: where rows are cheap, `opt-tree` asks for them as well.
 */

import { modelOdds } from "../draft/answers.ts";
import { ModelDrafter } from "../draft/model.ts";
import { chain } from "../structure/chain.ts";
import { delta } from "../structure/stop/delta.ts";
import { fixed } from "../structure/stop/fixed.ts";
import { any } from "../structure/stop/stop-rule.ts";
import type { Method, MethodOptions } from "./method.ts";

/** With the root, 8 rows: products take rows in fours. */
const LEVELS = 7;

export function draftModel({ draftModel: model, questions }: MethodOptions): Method {
  if (model === undefined) throw new Error("internal: draft-model was made without a draft model");
  const odds = modelOdds();
  return {
    name: "draft-model",
    learnt: { "model.odds-by-sampling": odds },
    compose: () => ({
      structure: chain(any(fixed(LEVELS), delta()), questions),
      drafters: [new ModelDrafter(model, odds)],
    }),
  };
}
