/**
 * @file A pass as the engine reads it: values in a fixed order, that of the enums in native/addon_pass.c. By their names it took 7 us to read them, a
 * thirtieth of a pass of espalier-tiny.
 */

import type { PassRequest, PassTree } from "./binding.ts";

type PassList = readonly unknown[];

/** The functions of a pass, as the engine has them. */
export interface PassFunctions {
  forward(pass: PassList): Promise<void>;
  forwardNow(pass: PassList): void;
  forwardBegin(pass: PassList): unknown;
}

export function passList(pass: PassRequest): PassList {
  return [
    pass.stack,
    pass.trees.map(treeList),
    pass.from,
    pass.to,
    pass.topK,
    pass.penalisedK ?? 0,
    pass.lastOnly,
    pass.commit,
    pass.fuse ?? false,
    pass.alone ?? false,
    pass.chain,
    pass.input,
    pass.tokens,
    pass.logProbs,
    pass.ids,
    pass.picks,
    pass.penalisedTokens,
    pass.penalisedLogits,
    pass.logits,
    pass.abort,
    pass.taps,
    pass.hiddenOut,
    pass.more,
  ];
}

function treeList({ cache, tokens, parents, size, first, pick, penalties }: PassTree): PassList {
  const picking = pick && [pick.seed, pick.scale, pick.reach, pick.topP ?? 1, pick.ahead ?? 0];
  return [cache, tokens, parents, size, first, picking, penalties];
}
