/**
 * @file `auto`: every drafter that there is, in one tree, and of them in every step those that pay. Token Recycling (arXiv:2408.08696),
 * retrieval from the text, earlier texts and a datastore (RASD, arXiv:2503.03434), and a draft head or model; OPT-Tree's growth
 * (arXiv:2406.17276) over all of their candidates.
 */

import type { Learnt } from "../draft/learnt.ts";
import { Mixer } from "../draft/mixer.ts";
import { MODEL_AND_TABLES, TABLES } from "../draft/mixer-priors.ts";
import { RecycleDrafter, RecycleMatrix } from "../draft/recycle.ts";
import { RetrievalDrafter } from "../draft/retrieval.ts";
import { RetrievalOdds } from "../draft/retrieval-odds.ts";
import { TextMemory } from "../draft/text-memory.ts";
import { ChainOrUnion } from "../structure/chain-or-union.ts";
import { TableWorth } from "../structure/table-worth.ts";
import { UnionTree } from "../structure/union.ts";
import { UnionWorth } from "../structure/union-worth.ts";
import { Yields } from "../structure/yields.ts";
import { modelChain } from "./draft-model.ts";
import type { Method, MethodOptions } from "./method.ts";
import { bestModel } from "./model-drafter.ts";

/**
 * Beside a draft head the recycling matrix brings little, and in a process whose code is cold costs more: it is left out for so many steps, and a trial
 * may lose a token for every so many steps before it.
 */
const MATRIX_RESTS = 256;
const STEPS_A_TOKEN = 64;
/** Temperatures that are told apart, by the least. */
const TEMPERATURES = [0, 1e-6, 0.6, 1.1];

export function auto(options: MethodOptions): Method {
  const model = bestModel(options);
  const matrix = new RecycleMatrix(options.vocabSize);
  const places = { odds: new RetrievalOdds(), earlier: new TextMemory(), store: options.datastore };
  const mixers = TEMPERATURES.map(() => new Mixer(model ? MODEL_AND_TABLES : TABLES));
  const mixer = (temperature: number) => mixers[TEMPERATURES.findLastIndex((least) => least <= temperature)]!;
  const yields = model && new Yields(options.questions);
  const ofMatrix =
    model?.kind === "eagle" ? TableWorth.resting(MATRIX_RESTS, 1 / STEPS_A_TOKEN) : new TableWorth();
  const tables = [new TableWorth(), ofMatrix];
  const worth = new UnionWorth();
  const structure = () => {
    const union = new UnionTree({ mixer, yields, tables });
    return model?.kind === "model"
      ? new ChainOrUnion(modelChain(model.times), union, { worth, tables: tables.length })
      : union;
  };
  return {
    name: "auto",
    learnt: {
      ...matrix.learnt,
      ...places.odds.learnt,
      ...model?.learnt,
      ...ownLearnt(mixers, yields, model?.kind),
    },
    compose: () => ({
      structure: structure(),
      drafters: [...(model ? [model.make()] : []), new RetrievalDrafter(places), new RecycleDrafter(matrix)],
    }),
  };
}

/** Which drafter is which depends on whether there is a model, and what one brings on which. */
function ownLearnt(mixers: readonly Mixer[], yields: Yields | undefined, kind = "tables"): Learnt {
  const named = mixers.map((mixer, i) => [`auto.${kind}.opinions-${i}`, mixer] as const);
  return { ...Object.fromEntries(named), ...(yields && { [`auto.${kind}.questions`]: yields }) };
}
