/** @file The suffix array against a sort by comparison, on random texts and on those that induced sorting finds hard. */

import fc from "fast-check";
import { expect, test } from "vitest";
import { engine } from "../src/engine/binding.ts";
import { sortSuffixes } from "./store-bytes.ts";

const binding = engine();

async function sorted(text: readonly number[], alphabet: number): Promise<number[]> {
  const suffixes = new Int32Array(text.length).fill(-7);
  await binding.sortSuffixes({ tokens: Int32Array.from(text), alphabet, suffixes });
  return [...suffixes];
}

test("random texts", async () => {
  const texts = fc
    .integer({ min: 1, max: 6 })
    .chain((alphabet) =>
      fc.tuple(fc.constant(alphabet), fc.array(fc.nat({ max: alphabet - 1 }), { maxLength: 300 })),
    );
  await fc.assert(
    fc.asyncProperty(texts, async ([alphabet, text]) => {
      expect(await sorted(text, alphabet)).toEqual(sortSuffixes(text));
    }),
    { numRuns: 400 },
  );
});

/** Every level of the recursion halves such a text and has names that repeat. */
function fibonacci(length: number): number[] {
  let [one, other] = [[0], [0, 1]] as [number[], number[]];
  while (other.length < length) [one, other] = [other, [...other, ...one]];
  return other.slice(0, length);
}

test.each<[string, number[]]>([
  ["empty", []],
  ["one token", [3]],
  ["all the same", Array(1000).fill(2)],
  ["rising", Array.from({ length: 500 }, (_, i) => i)],
  ["falling", Array.from({ length: 500 }, (_, i) => 500 - i)],
  ["a period of two", Array.from({ length: 1001 }, (_, i) => i % 2)],
  ["a period of seven", Array.from({ length: 1000 }, (_, i) => [3, 1, 4, 1, 5, 2, 6][i % 7]!)],
  ["Fibonacci", fibonacci(3000)],
])("%s", async (_, text) => {
  expect(await sorted(text, 501)).toEqual(sortSuffixes(text));
});

test("an alphabet as large as a vocabulary", async () => {
  const text = Array.from({ length: 20_000 }, (_, i) => (i * i * 7919) % 262_144);
  expect(await sorted([...text, ...text], 262_144)).toEqual(sortSuffixes([...text, ...text]));
});

test("refuses tokens outside the alphabet, and one array for both", async () => {
  await expect(sorted([0, 1, 2], 2)).rejects.toMatchObject({ code: "invalid" });
  await expect(sorted([0, -1], 2)).rejects.toMatchObject({ code: "invalid" });
  const tokens = Int32Array.of(1, 0, 1);
  expect(() => binding.sortSuffixes({ tokens, alphabet: 2, suffixes: tokens })).toThrow(/one array/);
});

test("stops when it is told to", async () => {
  const tokens = new Int32Array(10);
  const request = { tokens, alphabet: 1, suffixes: new Int32Array(10), abort: Int32Array.of(1) };
  await expect(binding.sortSuffixes(request)).rejects.toMatchObject({ code: "aborted" });
});
