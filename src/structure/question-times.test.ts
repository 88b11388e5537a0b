import { expect, it } from "vitest";
import { QuestionTimes, towardsMedian } from "./question-times.ts";

it("knows nothing before enough questions, and then the least of them: code is cold", () => {
  const times = new QuestionTimes();
  for (const ms of [30, 8, 2, 1, 3, 1, 1, 1, 1, 1, 1]) times.observe(0, ms);
  expect(times.first).toBeUndefined();
  times.observe(0, 5);
  expect([times.first, times.next, times.costs]).toEqual([1, undefined, undefined]);
});

it("starts with what was measured, which questions correct, either way and whatever some of them take", () => {
  for (const wrong of [0.3, 3]) {
    const times = new QuestionTimes({ first: 2 * wrong, next: wrong });
    expect(times.costs).toEqual({ first: 2 * wrong, next: wrong });
    for (let i = 0; i < 60; i++) {
      times.observe(0, i % 5 === 0 ? 50 : 2 + 0.01 * (i % 7));
      times.observe(1 + (i % 3), i % 5 === 0 ? 50 : 1);
    }
    expect(times.first! / 2).toBeGreaterThan(0.9);
    expect(times.first! / 2).toBeLessThan(1.3);
    expect(times.next).toBeLessThan(1.3);
    expect(new QuestionTimes(times.costs).costs).toEqual(times.costs);
  }
});

it("needs one question to find that a start was held up", () => {
  const times = new QuestionTimes({ first: 40, next: 20 });
  times.observe(0, 2);
  times.observe(1, 1);
  expect(times.costs).toEqual({ first: 2, next: 1 });
});

it("refuses times that cannot be, by name", () => {
  for (const ms of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
    expect(() => new QuestionTimes({ first: ms, next: 1 })).toThrow(`first is ${ms}`);
    expect(() => new QuestionTimes({ first: 1, next: ms })).toThrow(RangeError);
  }
});

it("a median moves by less and less", () => {
  expect(towardsMedian(1, 100, 13) - 1).toBeGreaterThan(towardsMedian(1, 100, 96) - 1);
  expect(towardsMedian(1, 1.001, 50)).toBe(1.001);
});
