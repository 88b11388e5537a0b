import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { StopMatcher } from "./stop-strings.ts";

function run(stops: readonly string[], pieces: readonly string[]): { text: string; stopped: boolean } {
  const matcher = new StopMatcher(stops);
  let text = "";
  for (const piece of pieces) {
    const { emit, stopped } = matcher.push(piece);
    text += emit;
    if (stopped) return { text, stopped };
  }
  return { text: text + matcher.end(), stopped: false };
}

test("clips at a stop string that is spread over pieces", () => {
  expect(run(["END"], ["one E", "N", "D two"])).toEqual({ text: "one ", stopped: true });
});

test("holds back only what could begin a stop string", () => {
  const matcher = new StopMatcher(["\n\nUser:", "###"]);
  expect(matcher.push("a\n")).toEqual({ emit: "a", stopped: false });
  expect(matcher.push("\n")).toEqual({ emit: "", stopped: false });
  expect(matcher.push("\n")).toEqual({ emit: "\n", stopped: false });
  expect(matcher.push("Us#")).toEqual({ emit: "\n\nUs", stopped: false });
  expect(matcher.push("#")).toEqual({ emit: "", stopped: false });
  expect(matcher.end()).toBe("##");
  expect(matcher.end()).toBe("");
});

test("a stop string that begins again inside of itself is found", () => {
  expect(run(["aab"], ["a", "a", "a", "b"])).toEqual({ text: "a", stopped: true });
  expect(run(["abab!"], ["ab", "ab", "ab!"])).toEqual({ text: "ab", stopped: true });
});

test("of several, the one that is complete first counts; of those, the longest", () => {
  expect(run(["longer stop", "er"], ["a longer stop"])).toEqual({ text: "a long", stopped: true });
  expect(run(["stop", "a stop"], ["this is a stop"])).toEqual({ text: "this is ", stopped: true });
});

test("after the stop nothing more comes", () => {
  const matcher = new StopMatcher(["x"]);
  expect(matcher.push("axb")).toEqual({ emit: "a", stopped: true });
  expect(matcher.push("c")).toEqual({ emit: "", stopped: true });
  expect(matcher.end()).toBe("");
});

test("without stop strings all text passes at once; an empty one is refused", () => {
  expect(new StopMatcher([]).push("text")).toEqual({ emit: "text", stopped: false });
  expect(() => new StopMatcher(["a", ""])).toThrow(RangeError);
});

describe("for any text and stop strings", () => {
  const letters = fc.string({ unit: fc.constantFrom("a", "b", "c"), maxLength: 30 });
  const stop = fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 4 });
  const cuts = fc.array(fc.nat(30), { maxLength: 8 });

  test("the result is the text before the first complete stop string, however it is cut into pieces", () => {
    fc.assert(
      fc.property(letters, fc.array(stop, { maxLength: 3 }), cuts, (text, stops, cut) => {
        const places = [...cut.filter((at) => at < text.length), 0, text.length].sort((a, b) => a - b);
        const pieces = places.slice(1).map((at, i) => text.slice(places[i], at));
        let expected = { text, stopped: false };
        for (let end = 1; end <= text.length && !expected.stopped; end++) {
          const longest = stops
            .filter((s) => text.slice(0, end).endsWith(s))
            .sort((a, b) => b.length - a.length)[0];
          if (longest !== undefined) expected = { text: text.slice(0, end - longest.length), stopped: true };
        }
        expect(run(stops, pieces)).toEqual(expected);
      }),
      { numRuns: 2000 },
    );
  });
});
