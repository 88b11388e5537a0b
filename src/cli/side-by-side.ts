/** @file Texts in columns that grow while one looks on. What no longer fits on the screen scrolls out of its column until the end. */

import stringWidth from "string-width";
import wrapAnsi from "wrap-ansi";
import type { Output } from "./io.ts";

/** Narrower columns are no pleasure to read. */
const LEAST_WIDTH = 32;
const GAP = "  │  ";

export interface Column {
  /** One line. */
  readonly title: string;
  /** May hold colours. */
  readonly text: string;
}

/** Whether `count` columns can be shown live on `output`. */
export function fitsSideBySide(output: Output, count: number): boolean {
  return output.isTTY === true && widthOf(output, count) >= LEAST_WIDTH;
}

export class SideBySide {
  readonly #output: Output;
  /** Lines on the screen that the next drawing replaces. */
  #drawn = 0;

  constructor(output: Output) {
    this.#output = output;
  }

  /** Shows the columns, or as much of their ends as the screen has lines for. */
  update(columns: readonly Column[]): void {
    const most = Math.max(4, (this.#output.rows ?? 24) - 2);
    const [titles, ...lines] = layOut(columns, widthOf(this.#output, columns.length));
    this.#draw([titles!, ...lines.slice(-most)]);
  }

  /** Shows all of the columns, and leaves them there. */
  finish(columns: readonly Column[]): void {
    this.#draw(layOut(columns, widthOf(this.#output, columns.length)));
    this.#drawn = 0;
  }

  #draw(lines: readonly string[]): void {
    const back = this.#drawn === 0 ? "" : `\x1b[${this.#drawn}A\x1b[J`;
    this.#output.write(`${back}${lines.join("\n")}\n`);
    this.#drawn = lines.length;
  }
}

function widthOf(output: Output, count: number): number {
  return Math.floor(((output.columns ?? 80) - 1 - (count - 1) * GAP.length) / count);
}

/** The lines of all columns, titles first. */
function layOut(columns: readonly Column[], width: number): string[] {
  const texts = columns.map(({ title, text }) => [
    title.slice(0, width),
    ...wrapAnsi(text, width, { hard: true }).split("\n"),
  ]);
  const height = Math.max(...texts.map((lines) => lines.length));
  return Array.from({ length: height }, (_, at) =>
    texts
      .map((lines) => padded(lines[at] ?? "", width))
      .join(GAP)
      .trimEnd(),
  );
}

/** A colour that goes on in the next line of this column is not to run into the others. */
function padded(line: string, width: number): string {
  const end = line.includes("\x1b") ? "\x1b[39m" : "";
  return line + end + " ".repeat(Math.max(0, width - stringWidth(line)));
}
