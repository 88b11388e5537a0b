/** @file Who has which turn: a Latin square that is balanced for what comes before (Williams 1949). */

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
