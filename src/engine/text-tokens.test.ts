import { expect, it } from "vitest";
import { TextTokens } from "./text-tokens.ts";

it("lists tokens without a row once, as they come, and forgets those of a text's end", () => {
  const others = new TextTokens(Int32Array.of(1, 3), 2000);
  others.add(Int32Array.of(5, 1, 7, 5), 0);
  others.add(Int32Array.of(3, 9, 7), 4);
  expect([...others.list]).toEqual([5, 7, 9]);
  others.truncate(5);
  expect([...others.list]).toEqual([5, 7]);
  others.truncate(2);
  others.add(Int32Array.of(9, 7, -1, 2000), 2);
  expect([...others.list]).toEqual([5, 9, 7]);
  expect([1, 3, 5, 7, 9, 2, -1, 2000].map((token) => others.has(token))).toEqual(
    [true, true, true, true, true, false, false, false], // the last two are no tokens
  );
});

it("leaves out what comes when it is full", () => {
  const others = new TextTokens(new Int32Array(0), 2000);
  others.add(
    Int32Array.from({ length: 600 }, (_, i) => i),
    0,
  );
  expect(others.list).toHaveLength(512);
  others.truncate(511);
  others.add(Int32Array.of(1999), 511);
  expect(others.list.at(-1)).toBe(1999);
});
