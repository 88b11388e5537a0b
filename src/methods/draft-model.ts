/**
 * @file A smaller model of the same vocabulary drafts a chain, as long as another token is worth its passes. Its second choices are rarely
 * worth a row: where rows are cheap, `opt-tree` asks for them as well.
 */

import { chain } from "../structure/chain.ts";
import type { QuestionTimes } from "../structure/question-times.ts";
import { delta } from "../structure/stop/delta.ts";
import { fixed } from "../structure/stop/fixed.ts";
import { any } from "../structure/stop/stop-rule.ts";
import type { Structure } from "../structure/structure.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** With the root, 8 rows: products take rows in fours. */
const LEVELS = 7;

/** The chain that a draft model drafts where it is asked alone; `times`: what questions to it take. */
export function modelChain(times: QuestionTimes): Structure {
  return chain(any(fixed(LEVELS), delta()), times);
}

export function draftModel(options: MethodOptions): Method {
  const { draftModel } = options;
  if (draftModel === undefined) throw new Error("internal: draft-model was made without a draft model");
  const { make, learnt, times } = modelDrafter({ ...options, head: undefined });
  return {
    name: "draft-model",
    learnt,
    compose: () => ({ structure: modelChain(times), drafters: [make()] }),
  };
}
