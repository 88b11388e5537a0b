/**
 * @file RASD (arXiv:2503.03434): OPT-Tree's tree of a draft head or model, fused with what is retrieved from the text, from earlier texts and
 * from a datastore.
 */

import { RetrievalDrafter } from "../draft/retrieval.ts";
import { RetrievalOdds } from "../draft/retrieval-odds.ts";
import { TextMemory } from "../draft/text-memory.ts";
import { AgreementOdds } from "../structure/agreement.ts";
import { Fusion } from "../structure/fusion.ts";
import { OptTree } from "../structure/opt-tree.ts";
import { delta } from "../structure/stop/delta.ts";
import type { Method, MethodOptions } from "./method.ts";
import { modelDrafter } from "./model-drafter.ts";

/** Of as many of the model's first tokens retrieved branches are kept. */
const FIRSTS = 16;

export function rasd(options: MethodOptions, firsts = FIRSTS): Method {
  const drafter = modelDrafter(options);
  const places = { odds: new RetrievalOdds(), earlier: new TextMemory(), store: options.datastore };
  const odds = new AgreementOdds();
  return {
    name: "rasd",
    learnt: { ...drafter.learnt, ...places.odds.learnt, ...odds.learnt },
    compose: () => ({
      structure: new Fusion(new OptTree(delta()), odds, firsts),
      drafters: [drafter.make(), new RetrievalDrafter(places)],
    }),
  };
}
