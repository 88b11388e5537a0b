/** @file What a model takes on this machine: as somebody says, as earlier use has left it, or measured now. */

import { bestModel, type ModelOptions } from "../methods/model-drafter.ts";
import type { PassCosts } from "../plan/cost.ts";
import { bushy, timePass } from "../plan/measure.ts";
import { quickPassTimes } from "../plan/quick.ts";
import { quickQuestions } from "../plan/quick-questions.ts";
import type { Costs } from "../session/parts.ts";
import type { Target } from "../target/target.ts";

/** Milliseconds of a pass beyond which none runs between questions. */
const SHORT_PASS_MS = 10;
/** Rows of those that do. */
const ROWS = 4;

/** `given`: times of passes that somebody says; false: nothing is to be known. `kept`: what earlier use has left. */
export async function loadCosts(
  target: Target,
  models: Omit<ModelOptions, "contextLength">,
  given: PassCosts | false | undefined,
  kept: Costs | undefined,
): Promise<Costs | undefined> {
  if (given === false) return undefined;
  const passes = given ?? kept?.passes ?? (await quickPassTimes(target));
  return { passes, questions: kept?.questions ?? (await questionCosts(target, models, passes[0]!.ms)) };
}

async function questionCosts(
  target: Target,
  models: Omit<ModelOptions, "contextLength">,
  plainMs: number,
): Promise<Costs["questions"]> {
  const { vocabSize, hiddenSize } = target;
  const contextLength = Math.min(target.contextLength, models.draftModel?.contextLength ?? Infinity);
  const drafter = bestModel({ ...models, contextLength })?.make();
  if (!drafter) return undefined;
  await drafter.load?.();
  const sizes = { vocabSize, hiddenSize, contextLength };
  if (plainMs > SHORT_PASS_MS) return await quickQuestions(drafter, sizes);
  await using text = await target.createSequence({ capacity: ROWS });
  const tree = bushy(ROWS, vocabSize);
  return await quickQuestions(drafter, sizes, () => timePass(text, tree));
}
