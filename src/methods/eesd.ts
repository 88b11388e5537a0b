/**
 * @file EESD (arXiv:2406.03853): the target's first layers and a trained block draft a chain, Thompson sampling says where it ends, and the
 * target's other layers verify it.
 */

import { modelOdds } from "../draft/answers.ts";
import { ExitDrafter } from "../draft/exit.ts";
import type { Learnt } from "../draft/learnt.ts";
import { chain } from "../structure/chain.ts";
import { OptTree } from "../structure/opt-tree.ts";
import { QuestionTimes } from "../structure/question-times.ts";
import { ddd } from "../structure/stop/ddd.ts";
import { delta } from "../structure/stop/delta.ts";
import { fixed } from "../structure/stop/fixed.ts";
import type { Structure } from "../structure/structure.ts";
import { bounded, learningRules } from "./learning-rules.ts";
import type { Method, MethodOptions } from "./method.ts";

const THRESHOLD = 0.6;
const TREE = { width: 4, branches: 4 };

/** What may stand behind the name in place of a length: how a chain ends, or that it is a tree. */
export const eesdWords = [...Object.keys(learningRules), "ddd", "tree"] as const;

/** `length` in tokens, or a word of {@link eesdWords}, "calibration-ts" without. */
export function eesd(options: MethodOptions, length?: number, word = "calibration-ts"): Method {
  const { exit, contextLength } = options;
  if (exit === undefined) throw new Error("internal: eesd was made without an exit block");
  const odds = modelOdds();
  const { make, learnt } = structureOf(length ?? word);
  return {
    name: "eesd",
    learnt: { "exit.odds-by-sampling": odds, ...learnt },
    partial: true,
    compose: (sequence) => ({
      structure: make(),
      drafters: [new ExitDrafter(exit, sequence, contextLength, odds)],
    }),
  };
}

/** Makes the structure of a text, and what all of them learn. */
function structureOf(argument: number | string): { make: () => Structure; learnt?: Learnt } {
  const times = new QuestionTimes();
  if (typeof argument === "number") return { make: () => chain(fixed(argument), times) };
  if (argument === "ddd") return { make: () => chain(bounded(ddd(-THRESHOLD)), times) };
  if (argument === "tree") return { make: () => new OptTree(bounded(delta()), TREE) };
  const rule = learningRules[argument as keyof typeof learningRules]("exit");
  return { make: () => chain(bounded(rule.make()), times), learnt: rule.learnt };
}
