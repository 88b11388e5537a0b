/** @file What followed a match in an automaton, and how often. */

import type { TokenId } from "../types.ts";
import type { Evidence } from "./retrieval-odds.ts";
import type { Match, SuffixAutomaton } from "./suffix-automaton.ts";

/** Those that are looked at, the ones that were new last. */
const SEEN = 64;

export type Follower = Pick<Evidence, "count" | "total" | "last"> & { readonly token: TokenId };

/** The `most` tokens that followed most often, of equals the last. */
export function followersOf(automaton: SuffixAutomaton, { state }: Match, most: number): Follower[] {
  const best: { token: TokenId; count: number; latest: number }[] = [];
  let total = 0;
  let newest = 0;
  automaton.followers(state, SEEN, (token, count, latest) => {
    total += count;
    if (latest > newest) newest = latest;
    let at = best.length;
    while (
      at > 0 &&
      (best[at - 1]!.count < count || (best[at - 1]!.count === count && best[at - 1]!.latest < latest))
    )
      at--;
    if (at === most) return;
    best.splice(at, 0, { token, count, latest });
    if (best.length > most) best.pop();
  });
  return best.map(({ token, count, latest }) => ({ token, count, total, last: latest === newest }));
}
