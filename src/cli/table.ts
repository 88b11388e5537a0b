/** @file Rows of text in aligned columns. */

import stringWidth from "string-width";

/**
 * Joins rows into lines with two spaces between columns; columns from `numbersFrom` on, and before `numbersTo`, stand at the right. Cells
 * may hold colours. No line ends in spaces, nor does the text end in a line break.
 */
export function table(
  rows: readonly (readonly string[])[],
  options: { readonly numbersFrom?: number; readonly numbersTo?: number } = {},
): string {
  const { numbersFrom = Infinity, numbersTo = Infinity } = options;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries())
      widths[column] = Math.max(widths[column] ?? 0, stringWidth(cell));
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => {
        const space = " ".repeat(widths[column]! - stringWidth(cell));
        return column >= numbersFrom && column < numbersTo ? space + cell : cell + space;
      })
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}
