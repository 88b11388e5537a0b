/**
 * @file RASD (arXiv:2503.03434): OPT-Tree's tree of a draft head or model, fused with what is retrieved from the text, from earlier texts and
 * from a datastore.
 */

import { RetrievalDrafter } from "../draft/retrieval.ts";
import { RetrievalOdds } from "../draft/retrieval-odds.ts";
import { TextMemory } from "../draft/text-memory.ts";
import { CopyOdds } from "../structure/copying.ts";
import { Fusion } from "../structure/fusion.ts";
import { delta } from "../structure/stop/delta.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** Retrieved branches that begin with one of as many of the model's first tokens are kept. All: the cut by value does it better (docs/log.md). */
const FIRSTS = Number.POSITIVE_INFINITY;

export function rasd(options: MethodOptions, firsts = FIRSTS): Method {
  const drafter = modelDrafter(options);
  const places = { odds: new RetrievalOdds(), earlier: new TextMemory(), store: options.datastore };
  const odds = new CopyOdds();
  return {
    name: "rasd",
    learnt: { ...drafter.learnt, ...places.odds.learnt, ...odds.learnt },
    compose: () => ({
      structure: new Fusion(delta(), odds, firsts),
      drafters: [drafter.make(), new RetrievalDrafter(places)],
    }),
  };
}
