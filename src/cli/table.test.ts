/** @file Tests of the table. */

import { expect, test } from "vitest";
import { table } from "./table.ts";

test("aligns columns, numbers at the right, no spaces at line ends", () => {
  const rows = [
    ["name", "count", ""],
    ["a", "1", "x"],
    ["longer", "100", ""],
  ];
  expect(table(rows)).toBe("name    count\na       1      x\nlonger  100");
  expect(table(rows, { numbersFrom: 1 })).toBe("name    count\na           1  x\nlonger    100");
  expect(table([])).toBe("");
});
