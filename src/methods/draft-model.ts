/** @file A smaller model of the same vocabulary drafts, level by level, as in OPT-Tree's experiments (arXiv:2406.17276). */

import { modelOdds } from "../draft/answers.ts";
import { ModelDrafter } from "../draft/model.ts";
import { ByLevel } from "../structure/by-level.ts";
import type { Method, MethodOptions } from "./method.ts";

const LEVELS = { width: 4, depth: 8 };

export function draftModel({ draftModel: model }: MethodOptions): Method {
  if (model === undefined) throw new Error("internal: draft-model was made without a draft model");
  const odds = modelOdds();
  return {
    name: "draft-model",
    compose: () => ({ structure: new ByLevel(LEVELS), drafters: [new ModelDrafter(model, odds)] }),
  };
}
