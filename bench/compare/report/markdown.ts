/** @file Markdown tables, and how figures read in them. */

import type { Spread } from "./figures.ts";

/** The first row is the head; columns from the second on stand at the right. */
export function markdownTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

export const NOTHING = "–";

/** Three significant digits, as far as there are figures behind the point. */
export function figure(value: number | undefined): string {
  if (value === undefined) return NOTHING;
  return value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** `median (low-high)`, the quartiles. */
export function medianCell(spread: Spread | undefined): string {
  return spread === undefined
    ? NOTHING
    : `${figure(spread.median)} (${figure(spread.low)}-${figure(spread.high)})`;
}

/** `mean (low-high)`: quartiles here too. */
export function meanCell(spread: Spread | undefined): string {
  if (spread === undefined) return NOTHING;
  return `${spread.mean.toFixed(2)} (${spread.low.toFixed(2)}-${spread.high.toFixed(2)})`;
}

/** `mean ± standard error`; without an error when there is but one value. */
export function errorCell(spread: Spread | undefined): string {
  if (spread === undefined) return NOTHING;
  return `${spread.mean.toFixed(2)}${spread.count > 1 ? ` ± ${spread.error.toFixed(2)}` : ""}`;
}

export function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}
