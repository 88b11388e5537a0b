import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { grown, hashDrafter, tableDrafter, valuesOf } from "../../test/table-drafter.ts";
import { BestFirst } from "./best-first.ts";
import { EMPTY, Frontier } from "./frontier.ts";
import { RECYCLING_TEMPLATE } from "./template.ts";

describe("Frontier", () => {
  it("gives the most valuable first, the older of equals", () => {
    fc.assert(
      fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 8 })), { maxLength: 200 }), (moves) => {
        const frontier = new Frontier();
        for (let step = 0; step < 2; step++) {
          frontier.clear();
          const model: { entry: number; token: number; value: number }[] = [];
          let entry = 0;
          for (const [token, value] of moves.entries()) {
            if (value === null) {
              const best = model.toSorted((a, b) => b.value - a.value || a.entry - b.entry)[0];
              const popped = frontier.pop();
              expect(popped).toBe(best?.entry ?? EMPTY);
              if (best === undefined) continue;
              const { parents, tokens, probs, values, sources, ranks } = frontier;
              expect([parents, tokens, probs, values, sources, ranks].map((all) => all[popped])).toEqual([
                1,
                best.token,
                0.5,
                best.value,
                3,
                2,
              ]);
              model.splice(model.indexOf(best), 1);
            } else {
              frontier.push(1, token, 0.5, value, 3, 2);
              model.push({ entry: entry++, token, value });
            }
          }
        }
        frontier.clear();
        expect(frontier.pop()).toBe(EMPTY);
      }),
    );
  });
});

describe("BestFirst", () => {
  it("keeps the n most valuable of all nodes within the depth", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.integer({ min: 1, max: 40 }),
        fc.integer({ min: 0, max: 4 }),
        async (seed, n, depth) => {
          const drafter = hashDrafter(seed, 3, 20);
          const everything = await grown([drafter], 128, depth);
          const tree = await grown([drafter], n, depth);
          expect(valuesOf(tree)).toEqual(
            valuesOf(everything)
              .sort((a, b) => b - a)
              .slice(0, n),
          );
          expect(Math.max(...tree.depths.slice(0, tree.size))).toBeLessThanOrEqual(depth);
        },
      ),
    );
  });

  it("fuses drafters: one node for one token, marked with all who proposed it", async () => {
    const fixed = (tokens: number[], probs: number[]) =>
      tableDrafter((tree, node) => (tree.depths[node] === 0 ? { tokens, probs } : { tokens: [], probs: [] }));
    const tree = await grown([fixed([5, 6], [0.5, 0.1]), fixed([7, 5], [0.4, 0.3])], 8, 4);
    expect(tree.size).toBe(4);
    expect([5, 7, 6].map((token) => tree.sources[tree.child(0, token)])).toEqual([3, 2, 1]);
    expect(tree.tokens.slice(1, 4)).toEqual(Int32Array.of(5, 7, 6));
  });

  it("waits for drafters that answer later", async () => {
    const now = await grown([hashDrafter(1, 4, 9)], 20, 5);
    const later = await grown([hashDrafter(1, 4, 9, true)], 20, 5);
    expect(later.tokens.slice(0, later.size)).toEqual(now.tokens.slice(0, now.size));
  });
});

describe("RECYCLING_TEMPLATE", () => {
  const place = (path: number[]) =>
    path.reduce((at, rank) => (at < 0 ? -1 : RECYCLING_TEMPLATE.child(at, rank)), 0);

  it("has the paper's 80 nodes", async () => {
    expect(RECYCLING_TEMPLATE.size).toBe(81);
    const drafter = hashDrafter(2, 8, 100);
    const tree = await grown([drafter], 128, 9, new BestFirst(RECYCLING_TEMPLATE));
    const byDepth = new Array(7).fill(0);
    for (let node = 0; node < tree.size; node++) byDepth[tree.depths[node]!]++;
    expect(byDepth).toEqual([1, 8, 21, 25, 15, 8, 3]);
  });

  it("has these paths and not those", () => {
    const inside = [[7], [1, 3], [2, 2], [3, 1], [7, 0], [0, 0, 7], [0, 7, 0], [1, 1, 0], [5, 0, 0]];
    const deep = [
      [0, 0, 0, 4],
      [0, 0, 1, 1],
      [3, 0, 0, 0],
      [0, 0, 0, 0, 2],
      [1, 0, 0, 0, 0],
      [0, 0, 0, 1, 0, 0],
    ];
    for (const path of [...inside, ...deep, [0, 0, 0, 0, 0, 1]]) expect(place(path)).toBeGreaterThan(0);
    const outside = [[8], [1, 4], [4, 1], [6, 0, 0], [0, 1, 3], [0, 0, 5, 0], [0, 3, 0, 0], [0, 0, 0, 3, 0]];
    for (const path of [...outside, [0, 0, 0, 2, 0, 0], [0, 0, 0, 0, 0, 2], [0, 0, 0, 0, 0, 0, 0]]) {
      expect(place(path)).toBe(-1);
    }
  });
});
