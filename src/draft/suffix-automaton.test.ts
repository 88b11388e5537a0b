import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TokenId } from "../types.ts";
import { LONGEST_MATCH, Match, SuffixAutomaton, TextReader } from "./suffix-automaton.ts";

const texts = fc.array(fc.array(fc.nat(3), { maxLength: 60 }), { minLength: 1, maxLength: 4 });

/** Where `stretch` ends in `text`. */
const endsOf = (text: readonly TokenId[], stretch: readonly TokenId[]) =>
  [...Array(text.length + 1).keys()].filter(
    (end) => end >= stretch.length && stretch.every((token, i) => text[end - stretch.length + i] === token),
  );

/** How often each token followed `stretch`. */
function followed(texts: readonly (readonly TokenId[])[], stretch: readonly TokenId[]) {
  const counts = new Map<TokenId, number>();
  for (const text of texts) {
    for (const end of endsOf(text, stretch)) {
      const token = text[end];
      if (token !== undefined) counts.set(token, (counts.get(token) ?? 0) + 1);
    }
  }
  return counts;
}

function followersOf(automaton: SuffixAutomaton, state: number) {
  const counts = new Map<TokenId, number>();
  automaton.followers(state, Number.POSITIVE_INFINITY, (token, count) => counts.set(token, count));
  return counts;
}

describe("SuffixAutomaton", () => {
  it("finds the longest ending that was read and counts what followed, whatever texts are read in turns", () => {
    fc.assert(
      fc.property(
        texts,
        fc.array(fc.nat(3), { maxLength: 40 }),
        fc.infiniteStream(fc.nat(3)),
        (texts, tail, turns) => {
          const automaton = new SuffixAutomaton();
          const readers = texts.map(() => new TextReader(automaton));
          const read: TokenId[][] = texts.map(() => []);
          while (read.some((some, i) => some.length < texts[i]!.length)) {
            const i = turns.next().value! % texts.length;
            const token = texts[i]![read[i]!.length];
            if (token === undefined) continue;
            readers[i]!.push(token);
            read[i]!.push(token);
          }
          for (const asked of [tail, ...texts]) {
            const longest = [...Array(Math.min(LONGEST_MATCH, asked.length) + 1).keys()]
              .reverse()
              .find((length) =>
                texts.some((text) => endsOf(text, asked.slice(asked.length - length)).length > 0),
              )!;
            const match = new Match();
            automaton.find(match, asked);
            expect(match.length).toBe(longest);
            // And so on with ever shorter endings, down to that of no tokens.
            do {
              expect(followersOf(automaton, match.state)).toEqual(
                followed(texts, asked.slice(asked.length - match.length)),
              );
            } while (automaton.shorten(match));
            expect(match.length).toBe(0);
          }
          expect(automaton.size).toBeLessThanOrEqual(1 + 2 * texts.flat().length);
        },
      ),
      { numRuns: 300 },
    );
  });

  it("goes on with a match that was found before more was read", () => {
    const matchOf3 = () => {
      const automaton = new SuffixAutomaton();
      const match = new Match();
      automaton.read([1, 2, 3]);
      automaton.find(match, [3]);
      // Now 1 2 3 and 2 3 do not end at the same places any more.
      automaton.read([9, 2, 3, 4]);
      return { automaton, match };
    };
    const { automaton, match } = matchOf3();
    automaton.step(match, 4);
    expect(match.length).toBe(2);
    const shortened = matchOf3();
    shortened.automaton.shorten(shortened.match);
    expect(shortened.match.length).toBe(0);
  });

  it("tells what followed last", () => {
    const automaton = new SuffixAutomaton();
    automaton.read([1, 2, 1, 3, 1, 2, 1]);
    const latest: [TokenId, number][] = [];
    automaton.followers(automaton.next(0, 1), 9, (token, _count, when) => latest.push([token, when]));
    expect(latest.sort((a, b) => b[1] - a[1]).map(([token]) => token)).toEqual([2, 3]);
  });

  it("grows no further by a text that it has read", () => {
    const automaton = new SuffixAutomaton();
    const text = Array.from({ length: 3000 }, (_, i) => (i * i) % 97);
    automaton.read(text);
    const { size } = automaton;
    automaton.read(text);
    automaton.read(text.slice(0, 500));
    expect(automaton.size).toBe(size);
  });
});
