/** @file Who takes part in `bench/rasd`: a drafter alone, retrieval alone in two manners and in ours, their union, and RASD. */

import { RetrievalDrafter } from "../../dist/draft/retrieval.js";
import { RetrievalOdds } from "../../dist/draft/retrieval-odds.js";
import { TextMemory } from "../../dist/draft/text-memory.js";
import { modelDrafter } from "../../dist/methods/model-drafter.js";
import { BestFirst } from "../../dist/structure/best-first.js";
import { chain } from "../../dist/structure/chain.js";
import { CopyOdds } from "../../dist/structure/copying.js";
import { Fusion } from "../../dist/structure/fusion.js";
import { OptTree } from "../../dist/structure/opt-tree.js";
import { delta } from "../../dist/structure/stop/delta.js";
import { fixed } from "../../dist/structure/stop/fixed.js";

/** Tokens that prompt lookup copies. */
const COPIED = 10;

/**
 * Methods by name for a model. `firsts`: numbers of first tokens that RASD is to prune by. With a store, retrieval and RASD are there with and
 * without it.
 */
export function contenders({ parts, contextLength }, firsts, store) {
  const { head, draftModel } = parts;
  const options = { contextLength, head, draftModel };
  const drafts = head !== undefined || draftModel !== undefined;
  /** What a method learns, its texts share. */
  const retriever = (places) => {
    const all = { odds: new RetrievalOdds(), ...places };
    return () => new RetrievalDrafter(all);
  };
  const alone = (structure, drafter) => () => ({ structure: structure(), drafters: [drafter()] });
  const fused = (most, places) => {
    const [drafter, retrieve, odds] = [modelDrafter(options), retriever(places), new CopyOdds()];
    return () => ({
      structure: new Fusion(delta(), odds, most),
      drafters: [drafter.make(), retrieve()],
    });
  };
  const own = (store) => ({ earlier: new TextMemory(), store });
  const bestFirst = () => new BestFirst();
  const methods = {
    ...(drafts && { drafter: alone(() => new OptTree(delta()), modelDrafter(options).make) }),
    "PLD manner": alone(() => chain(fixed(COPIED)), retriever({})),
    ...(store && { "REST manner": alone(bestFirst, retriever({ text: false, store })) }),
    retrieval: alone(bestFirst, retriever(own())),
    ...(store && { "retrieval, store": alone(bestFirst, retriever(own(store))) }),
  };
  if (drafts) {
    const all = new Map([
      ["union", Number.POSITIVE_INFINITY],
      ...firsts.map((most) => [`rasd:${most}`, most]),
    ]);
    for (const [name, most] of all) {
      if (store) methods[`${name}, no store`] = fused(most, own());
      methods[name] = fused(most, own(store));
    }
  }
  return new Map(Object.entries(methods).map(([name, compose]) => [name, { name, compose }]));
}
