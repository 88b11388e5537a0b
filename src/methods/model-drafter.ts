/** @file The drafter of methods that work with any model which drafts: a head before a draft model. What it counts, all texts share. */

import { modelOdds } from "../draft/answers.ts";
import type { Drafter } from "../draft/drafter.ts";
import { EagleDrafter } from "../draft/eagle.ts";
import type { Learnt } from "../draft/learnt.ts";
import { ModelDrafter } from "../draft/model.ts";
import { QuestionTimes } from "../structure/question-times.ts";
import type { MethodOptions } from "./method.ts";

export interface SomeDrafter {
  /** What names of its memories begin with. */
  readonly kind: "eagle" | "model";
  /** A drafter for one text. */
  readonly make: () => Drafter;
  readonly learnt: Learnt;
  /** What questions of one node each take. */
  readonly times: QuestionTimes;
}

/** What drafters of models are made of. */
export type ModelOptions = Pick<MethodOptions, "head" | "draftModel" | "contextLength" | "questions">;

export function modelDrafter({ head, draftModel, contextLength, questions }: ModelOptions): SomeDrafter {
  const odds = modelOdds();
  const times = new QuestionTimes(questions?.costs);
  if (head) {
    const make = () => new EagleDrafter(head, contextLength, odds);
    return { kind: "eagle", make, learnt: { "eagle.odds-by-sampling": odds }, times };
  }
  if (draftModel)
    return {
      kind: "model",
      make: () => new ModelDrafter(draftModel, odds),
      learnt: { "model.odds-by-sampling": odds },
      times,
    };
  throw new Error("internal: a method was made without the model that it drafts with");
}

/** A draft model is there because somebody chose it for this target, so it comes before the head that targets bring. Undefined without either. */
export function bestModel({ head, ...others }: ModelOptions): SomeDrafter | undefined {
  if (others.draftModel) return modelDrafter(others);
  return head && modelDrafter({ ...others, head });
}
