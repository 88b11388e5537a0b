/** @file The drafter of methods that work with any model which drafts: a head before a draft model. What it counts, all texts share. */

import { modelOdds } from "../draft/answers.ts";
import type { Drafter } from "../draft/drafter.ts";
import { EagleDrafter } from "../draft/eagle.ts";
import { ModelDrafter } from "../draft/model.ts";
import type { MethodOptions } from "./method.ts";

export function modelDrafter({ head, draftModel, contextLength }: MethodOptions): () => Drafter {
  const odds = modelOdds();
  if (head) return () => new EagleDrafter(head, contextLength, odds);
  if (draftModel) return () => new ModelDrafter(draftModel, odds);
  throw new Error("internal: a method was made without the model that it drafts with");
}
