/** @file A smaller model of the same vocabulary drafts, as in OPT-Tree's experiments (arXiv:2406.17276), in passes of few rows. */

import { modelOdds } from "../draft/answers.ts";
import { ModelDrafter } from "../draft/model.ts";
import { OptTree } from "../structure/opt-tree.ts";
import { delta } from "../structure/stop/delta.ts";
import { fixed } from "../structure/stop/fixed.ts";
import { any } from "../structure/stop/stop-rule.ts";
import type { Method, MethodOptions } from "./method.ts";

const LIMITS = { width: 4, branches: 4 };
const LEVELS = 8;

export function draftModel({ draftModel: model }: MethodOptions): Method {
  if (model === undefined) throw new Error("internal: draft-model was made without a draft model");
  const odds = modelOdds();
  return {
    name: "draft-model",
    compose: () => ({
      structure: new OptTree(any(fixed(LEVELS), delta()), LIMITS),
      drafters: [new ModelDrafter(model, odds)],
    }),
  };
}
