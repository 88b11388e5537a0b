/** @file Retrieval alone: what followed the same words before, in the text, in earlier texts, or in a datastore (REST, arXiv:2311.08252). */

import { RetrievalDrafter } from "../draft/retrieval.ts";
import { RetrievalOdds } from "../draft/retrieval-odds.ts";
import { TextMemory } from "../draft/text-memory.ts";
import { BestFirst } from "../structure/best-first.ts";
import type { Method, MethodOptions } from "./method.ts";

export function retrieval({ datastore }: MethodOptions): Method {
  const odds = new RetrievalOdds();
  const places = { odds, earlier: new TextMemory(), store: datastore };
  return {
    name: "retrieval",
    learnt: odds.learnt,
    compose: () => ({ structure: new BestFirst(), drafters: [new RetrievalDrafter(places)] }),
  };
}
