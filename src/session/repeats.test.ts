import { expect, it } from "vitest";
import { Repeats } from "./repeats.ts";

it("counts the latest tokens that came as they had come before, however the text is read", () => {
  const text = [7, 1, 2, 3, 4, 9, 1, 2, 3, 4, 5, 1, 2, 3];
  const streaks = [0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1];
  const repeats = new Repeats();
  expect(text.map((_, at) => repeats.follow(text.slice(0, at + 1)))).toEqual(streaks);
  expect(new Repeats().follow(text)).toBe(1);
  expect(repeats.follow(text)).toBe(1);
  expect(new Repeats().follow([])).toBe(0);
});
