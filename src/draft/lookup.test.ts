import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";
import { LookupDrafter } from "./lookup.ts";
import { LONGEST_NGRAM, NgramIndex } from "./ngram-index.ts";

/** Candidates after `text` and then `path`. */
function guesses(
  drafter: LookupDrafter,
  text: readonly TokenId[],
  path: readonly TokenId[] = [],
): readonly TokenId[] {
  drafter.begin(text);
  const tree = new DraftTree(text.at(-1)!, 32);
  let node = 0;
  for (const token of path) node = tree.push(node, token, 0.5);
  return drafter.expand(tree, [node], 8)[0]!.tokens;
}

describe("NgramIndex", () => {
  const positions = (index: NgramIndex, tail: readonly TokenId[], n: number) => {
    const found: number[] = [];
    index.walk(tail, n, Infinity, (position) => {
      found.push(position);
      return false;
    });
    return found;
  };

  it("finds every earlier place, newest first, after any pushes and cuts", () => {
    const move = fc.oneof(
      fc.record({ push: fc.array(fc.nat(3), { maxLength: 30 }) }),
      fc.record({ cut: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(move, { maxLength: 12 }), (moves) => {
        const index = new NgramIndex();
        let text: TokenId[] = [];
        for (const move of moves) {
          if ("push" in move) {
            text.push(...move.push);
            for (const token of move.push) index.push(token);
          } else {
            text = text.slice(0, move.cut % (text.length + 1));
            index.truncate(text.length);
          }
          expect(index.length).toBe(text.length);
          for (let n = 1; n <= LONGEST_NGRAM && n <= text.length; n++) {
            const last = text.slice(-n);
            const expected = [...text.keys()]
              .filter((at) => at >= n && last.every((token, i) => text[at - n + i] === token))
              .reverse();
            expect(positions(index, [...last].reverse(), n)).toEqual(expected);
          }
        }
      }),
    );
  });

  it("outgrows its first arrays", () => {
    const index = new NgramIndex();
    for (let i = 0; i < 5000; i++) index.push(i % 1700);
    expect(positions(index, [1699, 1698, 1697], 3)).toEqual([3400, 1700]);
    expect(index.matches([1699, 1698, 0], 3, 1700)).toBe(2);
  });
});

describe("LookupDrafter", () => {
  it("guesses what followed the longest match, then the most recent", () => {
    const drafter = new LookupDrafter();
    //                       5 after 1 2 3; 6 after 2 3; 7 after 9 3, more recently
    expect(guesses(drafter, [1, 2, 3, 5, 8, 2, 3, 6, 9, 3, 7, 0, 1, 2, 3])).toEqual([5, 6, 7]);
    expect(guesses(drafter, [4, 1, 5, 4, 2, 5, 4])).toEqual([2, 1]);
  });

  it("compares as far back as there is, not only the longest n-gram", () => {
    const same = [1, 2, 3, 4];
    expect(guesses(new LookupDrafter(), [9, 8, ...same, 20, 0, 7, ...same, 21, 5, 9, 8, ...same])).toEqual([
      20, 21,
    ]);
  });

  it("goes on along the drafted path", () => {
    const drafter = new LookupDrafter();
    const text = [1, 2, 3, 4, 5, 6, 0, 1, 2];
    expect(guesses(drafter, text, [3])).toEqual([4]);
    expect(guesses(drafter, text, [3, 4, 5])).toEqual([6]);
    expect(guesses(drafter, text, [30])).toEqual([]);
  });

  it("looks through a predicted text from its beginning, and finds it again behind what differs", () => {
    const predicted = [5, 6, 7, 8, 9, 10, 11];
    const drafter = new LookupDrafter(undefined, predicted);
    expect(drafter.name).toBe("prediction");
    expect(guesses(drafter, [1, 2, 3])).toEqual([5]);
    expect(guesses(drafter, [1, 2, 3], [5, 6])).toEqual([7]);
    expect(guesses(drafter, [1, 2, 3], [5, 6, 40])).toEqual([]);
    expect(guesses(drafter, [1, 2, 3], [5, 6, 40, 8])).toEqual([9]);
    expect(guesses(drafter, [1, 2, 3], [5, 6, 40, 8, 9, 10, 11])).toEqual([]);
    // Of the text, only the last tokens are in front of the prediction.
    expect(guesses(drafter, [1, 2, 3, 1])).toEqual([5, 2]);
    expect(
      guesses(
        new LookupDrafter(undefined, [7]),
        Array.from({ length: 30 }, (_, i) => i),
      ),
    ).toEqual([7]);
  });

  it("is silent when nothing was there before", () => {
    expect(guesses(new LookupDrafter(), [1])).toEqual([]);
    expect(guesses(new LookupDrafter(), [1, 2, 3])).toEqual([]);
  });

  it("learns the accepted tokens and the bonus token, and how good a match is", () => {
    const drafter = new LookupDrafter();
    drafter.begin([1, 2, 3, 1]);
    const before = drafter.expand(new DraftTree(1, 1), [0], 4)[0]!.probs[0]!;
    const tree = new DraftTree(1, 4);
    const node = tree.push(0, 2, 0.5);
    tree.push(0, 9, 0.5);
    drafter.observe(outcomeOf(tree, [0, node], 7, 3));
    expect(guesses(drafter, [1, 2, 3, 1, 2, 7, 1, 2])).toEqual([7, 3]);
    const after = drafter.expand(new DraftTree(2, 1), [0], 4);
    expect(after[0]!.tokens).toEqual([7, 3]);
    drafter.begin([1, 2, 3, 1]);
    expect(drafter.expand(new DraftTree(1, 1), [0], 4)[0]!.probs[0]).toBeGreaterThan(before);
  });

  it("follows a conversation that goes on, changes, or starts over, like a new drafter", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ keep: fc.nat(), add: fc.array(fc.nat(3), { minLength: 1, maxLength: 25 }) }), {
          maxLength: 6,
        }),
        (turns) => {
          const drafter = new LookupDrafter();
          let text: TokenId[] = [];
          for (const { keep, add } of turns) {
            text = [...text.slice(0, keep % (text.length + 1)), ...add];
            expect(guesses(drafter, text)).toEqual(guesses(new LookupDrafter(), text));
          }
        },
      ),
    );
  });
});
