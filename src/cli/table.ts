/** @file Rows of text in aligned columns. */

/**
 * Joins rows into lines with two spaces between columns; columns from `numbersFrom` on stand at the right. No line ends
 * in spaces, nor does the text end in a line break.
 */
export function table(
  rows: readonly (readonly string[])[],
  options: { readonly numbersFrom?: number } = {},
): string {
  const { numbersFrom = Infinity } = options;
  const widths: number[] = [];
  for (const row of rows) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) =>
        column >= numbersFrom ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!),
      )
      .join("  ")
      .trimEnd();
  return rows.map(line).join("\n");
}
