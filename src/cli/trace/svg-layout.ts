/** @file Where the nodes of a step stand in a picture: columns by depth, and a row for each way down. First children continue their parent's row. */

import type { NodeIndex } from "../../types.ts";

export interface Place {
  readonly depth: number;
  readonly row: number;
}

/** By node, its place. `children` has the accepted child first, so that the accepted path is row 0. `end`: the last node of that path. */
export function placesOf(children: readonly (readonly NodeIndex[])[], end: NodeIndex): Place[] {
  const places: Place[] = [];
  let rows = 0;
  const waiting: { node: NodeIndex; depth: number; row: number | undefined }[] = [
    { node: 0, depth: 0, row: undefined },
  ];
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node, depth } = next;
    const row = next.row ?? rows++;
    places[node] = { depth, row };
    const own = children[node]!;
    // Behind the end of the accepted path stands the bonus token.
    for (let i = own.length - 1; i >= 0; i--)
      waiting.push({ node: own[i]!, depth: depth + 1, row: i === 0 && node !== end ? row : undefined });
  }
  return places;
}
