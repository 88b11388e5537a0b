import { describe, expect, it } from "vitest";
import { TextLuck } from "./text-luck.ts";

describe("TextLuck", () => {
  it("is 1 at first, and soon what questions bring in this text", () => {
    const luck = new TextLuck();
    expect(luck.value).toBe(1);
    for (let i = 0; i < 8; i++) luck.observe(1, 0.1);
    expect(luck.value).toBeLessThan(0.3);
    for (let i = 0; i < 100; i++) {
      luck.fade();
      luck.observe(1, 0.7);
    }
    expect(luck.value).toBeCloseTo(0.7, 1);
    luck.begin();
    expect(luck.value).toBe(1);
  });

  it("forgets while nobody asks, so that a text gets another chance", () => {
    const luck = new TextLuck();
    for (let i = 0; i < 8; i++) luck.observe(1, 0);
    const before = luck.value;
    for (let i = 0; i < 128; i++) luck.fade();
    expect(before).toBeLessThan(0.2);
    expect(luck.value).toBeGreaterThan(0.85);
  });

  it("takes no text for much better than others, nor for worse than nothing", () => {
    const luck = new TextLuck();
    for (let i = 0; i < 50; i++) luck.observe(0.1, 3);
    expect(luck.value).toBe(1.5);
    luck.begin();
    luck.observe(1, -20);
    expect(luck.value).toBeGreaterThan(0);
  });
});
