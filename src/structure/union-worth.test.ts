import { describe, expect, it } from "vitest";
import { UnionWorth } from "./union-worth.ts";

/** In which of `steps` steps a union is asked for that takes 0.1 ms more than a chain and brings `more` tokens more, where a millisecond is worth `price` tokens. */
function unions(worth: UnionWorth, more: number, price: number, steps: number): number[] {
  const asked: number[] = [];
  for (let step = 0; step < steps; step++) {
    if (worth.asked) {
      asked.push(step);
      worth.union(2 + more, 0.5, price);
    } else worth.chain(2, 0.4, price);
  }
  return asked;
}

describe("UnionWorth", () => {
  it("asks all from the second step on where time is worth little", () => {
    expect(unions(new UnionWorth(), 0, 0.5, 100)).toHaveLength(99);
    expect(unions(new UnionWorth(), 0, 0, 100)).toHaveLength(99);
  });

  it("asks again what time is worth, which was measured on a busy machine", () => {
    const worth = new UnionWorth();
    expect(unions(worth, 0, 0.5, 100)).toHaveLength(99);
    expect(unions(worth, 0, 5, 100)).toEqual([0]);
    expect(unions(worth, 0, 0.5, 100)).toHaveLength(99);
  });

  it("begins with chains where time is dear, and stays with a union that turns out to pay", () => {
    const worth = new UnionWorth();
    const asked = unions(worth, 0.6, 5, 4000);
    expect(asked[0]).toBeGreaterThan(500);
    expect(asked.at(-1)).toBe(3999);
    expect(asked).toHaveLength(4000 - asked[0]!);
    expect(worth.trial).toBe(false);
  });

  it("tries ever more rarely a union that does not, and no longer than it may lose", () => {
    const worth = new UnionWorth();
    unions(worth, -1, 5, 1025);
    expect([worth.asked, worth.trial]).toEqual([true, true]);
    const asked = unions(worth, -1, 5, 20_000);
    // Each loses 1.5 tokens.
    expect(asked.length).toBeGreaterThan(0);
    expect(1.5 * asked.length).toBeLessThan(20_000 / 64);
    expect(asked.filter((step) => step > 10_000).length).toBeLessThan(asked.length / 2);
    expect(worth.asked).toBe(false);
  });
});
