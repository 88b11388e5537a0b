import { describe, expect, it } from "vitest";
import { Calibration } from "./calibrate.ts";

describe("Calibration", () => {
  it("starts at its priors and ends at what is observed, class by class", () => {
    const odds = new Calibration([0.5, 0.1]);
    expect([...odds.probs]).toEqual([0.5, 0.1]);
    for (let i = 0; i < 3000; i++) odds.observe(0, i % 10 < 2);
    expect(odds.probs[0]).toBeCloseTo(0.2, 1);
    expect(odds.probs[1]).toBe(0.1);
  });

  it("follows a change, and stays between 0 and 1", () => {
    const odds = new Calibration([0.5]);
    for (let i = 0; i < 20_000; i++) odds.observe(0, true);
    expect(odds.probs[0]).toBeLessThan(1);
    for (let i = 0; i < 20_000; i++) odds.observe(0, false);
    expect(odds.probs[0]).toBeGreaterThan(0);
    expect(odds.probs[0]).toBeLessThan(0.01);
  });
});
