/** @file The figures of a trace, to be read. */

import { table } from "../table.ts";
import type { TimeSplit, TraceFigures } from "./figures.ts";
import type { Pen } from "./pen.ts";
import { counted } from "./step-text.ts";
import { clipped, fitted, visible } from "./visible.ts";

const LONGEST_BAR = 40;
/** Columns that stand before bars, at most. */
const BEFORE_BARS = 52;
/** Rows of steps by tokens; what gave more is one row. */
const MOST_ROWS = 16;

export function summaryText(figures: TraceFigures, pen: Pen, width: number): string {
  const longest = Math.max(8, Math.min(LONGEST_BAR, width - BEFORE_BARS));
  const sections = [headOf(figures, pen)];
  if (figures.steps > 0) {
    sections.push(stepsByTokens(figures, longest));
    if (figures.drafters.length > 0) sections.push(byDrafter(figures, pen, longest));
    if (figures.deciles.length > 0) sections.push(byProbability(figures, longest));
    sections.push(timeSplit(figures, longest));
  }
  return sections.map((lines) => lines.map((line) => fitted(line, width)).join("\n")).join("\n\n");
}

function headOf(figures: TraceFigures, pen: Pen): string[] {
  const { model, method, promptTokens, tokens, stopReason, steps, plain, trials, stepsLeftOut, off } =
    figures;
  const name = (text: string) => clipped(visible(text), 40);
  return [
    `${name(model)} · ${name(method)} · prompt of ${promptTokens}, ${counted(tokens, "token")} generated · ${name(stopReason)}`,
    pen.bold(
      `${counted(steps, "step")} (${plain} plain, ${counted(trials, "trial")}), ${figures.mat.toFixed(2)} tokens each`,
    ),
    ...(stepsLeftOut > 0
      ? [
          `the last ${counted(stepsLeftOut, "step")} of it found no room in the trace: figures are of those before`,
        ]
      : []),
    ...(steps > 0
      ? [
          `${figures.nodes.toFixed(1)} nodes a step, ${figures.expectedTokens.toFixed(2)} tokens expected of them, ${figures.realTokens.toFixed(2)} real`,
        ]
      : []),
    ...(off === null ? [] : [`at the end ${clipped(visible(off), 100)}`]),
  ];
}

function stepsByTokens({ stepsByTokens }: TraceFigures, longest: number): string[] {
  const rows = stepsByTokens.slice(0, MOST_ROWS).map((steps, tokens) => ({ name: String(tokens), steps }));
  const more = stepsByTokens.slice(MOST_ROWS).reduce((sum, steps) => sum + steps, 0);
  if (more > 0) rows.push({ name: `${MOST_ROWS} and more`, steps: more });
  const most = Math.max(...rows.map(({ steps }) => steps));
  const lines = rows
    .filter(({ steps }, tokens) => tokens > 0 || steps > 0)
    .map(({ name, steps }) => [name, String(steps), bar(steps / most, longest)]);
  return lined([["tokens", "steps", ""], ...lines]);
}

function byDrafter({ drafters }: TraceFigures, pen: Pen, longest: number): string[] {
  const rows = drafters.map(({ drafted, accepted, acceptedAlone }, i) => [
    pen.paint(`${pen.letters[i]} ${pen.names[i]}`, i),
    String(drafted),
    String(accepted),
    String(acceptedAlone),
    pen.paint(bar(drafted === 0 ? 0 : accepted / drafted, longest), i),
  ]);
  return lined([["guessed by", "nodes", "accepted", "by it alone", "accepted of its nodes"], ...rows]);
}

function byProbability({ deciles, calibrationError }: TraceFigures, longest: number): string[] {
  const rows = deciles.map(({ from, nodes, expected, real }) => [
    `${from.toFixed(1)}-${(from + 0.1).toFixed(1)}`,
    String(nodes),
    expected.toFixed(2),
    real.toFixed(2),
    withMark(bar(real, longest), expected, longest),
  ]);
  return [
    ...lined([["probability", "nodes", "expected", "accepted", "accepted, and | expected"], ...rows]),
    `apart by ${calibrationError!.toFixed(3)} in the mean; of nodes whose parents were accepted`,
  ];
}

const PARTS: readonly (readonly [keyof TimeSplit, string])[] = [
  ["pass", "the target's pass"],
  ["drafters", "drafters"],
  ["structure", "tree"],
  ["rest", "rest"],
];

function timeSplit({ time, steps, overhead }: TraceFigures, longest: number): string[] {
  const total = PARTS.reduce((sum, [part]) => sum + time[part], 0);
  const rows = PARTS.map(([part, name]) => [
    name,
    (time[part] / steps).toFixed(3),
    percent(total === 0 ? 0 : time[part] / total),
    bar(total === 0 ? 0 : time[part] / total, longest),
  ]);
  const own =
    overhead === null
      ? []
      : [`planning, fusion and bookkeeping, that is tree and rest: ${percent(overhead)}`];
  return [...lined([["time", "ms a step", "", ""], ...rows]), ...own];
}

/** Lines of a table whose last column holds bars. */
function lined(rows: readonly (readonly string[])[]): string[] {
  return table(rows, { numbersFrom: 1, numbersTo: rows[0]!.length - 1 }).split("\n");
}

function percent(part: number): string {
  return `${(100 * part).toFixed(1)} %`;
}

/** Anything that is not nothing can be seen. */
function bar(part: number, longest: number): string {
  return part <= 0 ? "" : "█".repeat(Math.max(1, Math.round(Math.min(1, part) * longest)));
}

/** The bar with a sign at `part` of the longest one. */
function withMark(bar: string, part: number, longest: number): string {
  const at = Math.min(longest - 1, Math.floor(part * longest));
  return `${bar.slice(0, at).padEnd(at)}|${bar.slice(at + 1)}`;
}
