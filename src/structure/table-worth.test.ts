import { describe, expect, it } from "vitest";
import { TableWorth } from "./table-worth.ts";

/** In how many of `steps` steps a table is asked that brings `tokens` in a millisecond, which is worth half a token. */
function asked(table: TableWorth, tokens: number, steps: number): number {
  let count = 0;
  for (let step = 0; step < steps; step++) {
    if (table.asked) {
      count++;
      table.observe(tokens, 1, 0.5);
    } else table.pass();
  }
  return count;
}

describe("TableWorth", () => {
  it("leaves out a table that costs more than it brings, and tries it ever more rarely", () => {
    const table = new TableWorth();
    expect(asked(table, 0.4, 2000)).toBeLessThan(200);
    expect(asked(table, 0.4, 20_000)).toBeLessThan(400);
    expect(asked(table, 0.4, 20_000)).toBeGreaterThan(0);
  });

  it("asks one that pays, also when it has not before", () => {
    expect(asked(new TableWorth(), 0.6, 500)).toBe(500);
    const table = new TableWorth();
    asked(table, 0.1, 300);
    expect(asked(table, 2, 3000)).toBeGreaterThan(2000);
  });

  it("is not misled by a few slow calls", () => {
    const table = new TableWorth();
    for (const ms of [80, 30, 1, 1, 1, 200, 1, 1]) table.observe(0.7, ms, 0.5);
    expect(asked(table, 0.7, 500)).toBe(500);
  });

  it("may begin left out, and ends a trial that has lost enough", () => {
    const table = TableWorth.resting(100, 1 / 50);
    expect(asked(table, 0.1, 100)).toBe(0);
    expect([table.asked, table.trial]).toEqual([true, true]);
    // Each loses 0.4.
    expect(asked(table, 0.1, 200)).toBe(6);
    expect([table.asked, table.trial]).toEqual([false, false]);
    // The nap is twice as long, and so is the next trial.
    expect(asked(table, 0.1, 17)).toBe(11);
    expect(asked(table, 0.6, 1000)).toBe(600);
    expect(table.trial).toBe(false);
  });
});
