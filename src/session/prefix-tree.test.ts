import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { PrefixTree } from "./prefix-tree.ts";

const text = fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 7 });

function sharedOf(a: readonly number[], b: readonly number[]): number {
  let same = 0;
  while (same < a.length && same < b.length && a[same] === b[same]) same++;
  return same;
}

describe("PrefixTree", () => {
  it("finds all that is in it, what shares most first, as a list would", () => {
    const action = fc.record({ text, remove: fc.boolean(), which: fc.nat() });
    fc.assert(
      fc.property(fc.array(action, { maxLength: 40 }), fc.array(text, { maxLength: 5 }), (actions, asked) => {
        const tree = new PrefixTree<number>();
        const list: { text: number[]; value: number }[] = [];
        for (const [value, { text, remove, which }] of actions.entries()) {
          if (remove && list.length > 0) {
            const [gone] = list.splice(which % list.length, 1);
            tree.remove(gone!.text, gone!.value);
          } else {
            tree.insert(text, value);
            list.push({ text, value });
          }
          for (const tokens of [...asked, text]) {
            const found = [...tree.nearest(tokens)];
            expect(found.map(({ value }) => value).sort()).toEqual(list.map(({ value }) => value).sort());
            for (const { value, shared } of found) {
              expect(shared).toBe(sharedOf(list.find((entry) => entry.value === value)!.text, tokens));
            }
            const lengths = found.map(({ shared }) => shared);
            expect(lengths).toEqual(lengths.toSorted((a, b) => b - a));
          }
        }
      }),
    );
  });

  it("takes out nothing that is not in it", () => {
    const tree = new PrefixTree<string>();
    tree.insert([1, 2, 3], "a");
    for (const tokens of [[], [1], [1, 2], [1, 2, 3, 4], [2]]) tree.remove(tokens, "a");
    expect([...tree.nearest([1, 2])]).toEqual([{ value: "a", shared: 2 }]);
  });
});
