import { expect, it } from "vitest";
import { gumbel, positionKey, uniform } from "./random.ts";

it("gives the noise that the logarithm says, to a few units in the last place", () => {
  let [least, most, error] = [Infinity, -Infinity, 0];
  for (let token = 0; token < 1_000_000; token++) {
    const noise = gumbel(7, token);
    const expected = -Math.log(-Math.log(uniform(7, token)));
    // Near 0 the error is that of the inner logarithm.
    error = Math.max(error, Math.abs(noise - expected) / (1 + Math.abs(expected)));
    [least, most] = [Math.min(least, noise), Math.max(most, noise)];
  }
  expect(error).toBeLessThan(1e-15);
  expect(least).toBeLessThan(-2.4);
  expect(most).toBeGreaterThan(11);
});

it("has keys and numbers that stay, since seeded texts rest on them", () => {
  const keys = [positionKey(0, 0), positionKey(1, 0), positionKey(2 ** 32 - 1, 12_345)];
  expect(keys).toEqual([1_684_164_658, 4_114_278_092, 1_828_672_107]);
  expect(uniform(positionKey(1, 2), 3)).toBe(0.35080580424983054);
});
