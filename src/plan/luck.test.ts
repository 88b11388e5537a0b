import { expect, it } from "vitest";
import { Luck } from "./luck.ts";

it("takes most of what a few steps give for luck, and little of what many do", () => {
  const luck = new Luck(1);
  for (let step = 0; step < 3; step++) luck.add(1, 3);
  expect(luck.tokens).toBeLessThan(-0.75 * 3 * 2);
  for (let step = 3; step < 200; step++) luck.add(1, 3);
  expect(luck.tokens).toBeGreaterThan(-0.1 * 200 * 2);
});

it("is sooner sure where less is left to chance", () => {
  const part = (expected: number) => {
    const luck = new Luck(1);
    for (let step = 0; step < 20; step++) luck.add(1, expected);
    return luck.tokens / (20 * (1 - expected));
  };
  expect(part(1.5)).toBeLessThan(part(4));
});

it("knows none where what is expected comes, or nothing is", () => {
  const luck = new Luck(31 / 32);
  expect(luck.tokens).toBe(0);
  for (let step = 0; step < 50; step++) luck.add(step % 2 ? 1 : 3, 2);
  expect(Math.abs(luck.tokens)).toBeLessThan(1);
  const certain = new Luck(1);
  certain.add(1, 1);
  expect(certain.tokens).toBe(0);
});
