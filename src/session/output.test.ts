import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Detokenizer } from "../text/detokenizer.ts";
import { Output } from "./output.ts";

const WORDS = ["a", "b", "ab", "ba", "abb", "", "é", "x"];
/** Tokens 0-7 are words; 8 and 9 are the halves of "é". */
const source = {
  startsWithSpace: false,
  tokenBytes: (token: number) =>
    token === 8 ? Buffer.of(0xc3) : token === 9 ? Buffer.of(0xa9) : Buffer.from(WORDS[token]!),
};

function run(tokens: readonly number[], stops: readonly string[]) {
  const output = new Output(source, stops);
  const shown: { token: number; text: string }[][] = [];
  let stopped = false;
  for (const token of tokens) {
    stopped = output.push(token, []);
    shown.push(output.take());
    if (stopped) break;
  }
  if (!stopped) {
    stopped = output.end();
    shown.push(output.take());
  }
  return { output, pieces: shown.flat(), shown, stopped };
}

describe("Output", () => {
  it("drops the space that a tokenizer puts before a text, unless the text goes on with the prompt's", () => {
    const words = [" a", " ", "b"];
    const spaced = { startsWithSpace: true, tokenBytes: (token: number) => Buffer.from(words[token]!) };
    for (const [tokens, text] of [
      [[0, 0], "a a"],
      [[1, 2, 0], "b a"],
      [[2, 0], "b a"],
    ] as const) {
      for (const continues of [false, true]) {
        const output = new Output(spaced, [], { continues });
        for (const token of tokens) output.push(token, []);
        output.end();
        const pieces = output.take().map((piece) => piece.text);
        expect(pieces.join("")).toBe(continues ? tokens.map((token) => words[token]).join("") : text);
        expect(pieces).toHaveLength(tokens.length);
      }
    }
  });

  it("shows the text up to the stop string, and the tokens that start before it, however the text is cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(9), { maxLength: 14 }),
        fc.array(fc.constantFrom("b", "ab", "bba", "aab", "é", "xx", "\ufffd"), { maxLength: 3 }),
        (tokens, stops) => {
          const { output, pieces, stopped } = run(tokens, stops);
          const whole = new Detokenizer(source);
          const starts: number[] = [];
          let text = "";
          for (const token of tokens) {
            starts.push(text.length);
            text += whole.push(token);
          }
          text += whole.end();
          const ends = stops
            .filter((stop) => text.includes(stop))
            .map((stop) => text.indexOf(stop) + stop.length);
          expect(stopped).toBe(ends.length > 0);
          if (stopped) {
            const end = Math.min(...ends);
            const completed = stops.filter((stop) => text.slice(0, end).endsWith(stop));
            const cut = end - Math.max(...completed.map((stop) => stop.length));
            expect(output.text).toBe(text.slice(0, cut));
            expect(output.tokens).toBe(starts.filter((start) => start < cut).length);
          } else {
            expect(output.text).toBe(text);
            expect(output.tokens).toBe(tokens.length);
          }
          expect(pieces.map((piece) => piece.text).join("")).toBe(output.text);
          expect(pieces.map((piece) => piece.token)).toEqual(tokens.slice(0, output.tokens));
        },
      ),
      { numRuns: 500 },
    );
  });

  it("shows each piece as soon as it is certain", () => {
    const { shown } = run([0, 7, 7, 8, 9, 0], ["xxa"]);
    expect(shown.map((pieces) => pieces.map((piece) => piece.text).join(""))).toEqual([
      "a",
      "",
      "",
      "",
      "xxé",
      "a",
      "",
    ]);
  });
});
