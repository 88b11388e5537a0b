/** @file Who has which turn: a Latin square that is balanced for what comes before (Williams 1949). */

import { cellKey } from "./cells.ts";
import type { Round } from "./records.ts";

/**
 * The order in round `round`, 0 and up. In every `contenders.length` rounds everybody has every place once, and in twice as many everybody runs
 * behind each other one equally often: whoever leaves caches or clocks in a bad state does so to all alike.
 */
export function turnOrder<T>(contenders: readonly T[], round: number): T[] {
  const count = contenders.length;
  // 0, 1, -1, 2, -2 and so on: no two neighbours are the same distance apart.
  const order = contenders.map((_, place) => {
    const distance = place % 2 === 1 ? (place + 1) / 2 : -place / 2;
    return contenders[(((distance + round) % count) + count) % count]!;
  });
  return Math.floor(round / count) % 2 === 0 ? order : order.reverse();
}

type Placed = Pick<Round, "category" | "temperature" | "context">;

/**
 * The number of the round that `prompt` is for, when those in `done` are over and those in `coming` are asked for. Every cell goes through all orders by
 * itself: were rounds counted through, a cell of a grid of 44 would have had the same contender first each time of four.
 */
export function nextRound(done: readonly Placed[], coming: readonly Placed[], prompt: Placed): number {
  const keys = [...done, ...coming].map(cellKey);
  const key = cellKey(prompt);
  const cells = [...new Set(keys)];
  return cells.indexOf(key) + done.filter((round) => cellKey(round) === key).length;
}
