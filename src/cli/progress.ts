/** @file How far long work has come, on standard error: a bar on a terminal, elsewhere a line now and then. */

import { Presets, SingleBar } from "cli-progress";
import type { Io } from "./io.ts";

/** Least time between two lines. */
const LINE_MS = 5000;

export interface Progress {
  /** `done` of the total is done; `note` says what is being done. */
  update(done: number, note?: string): void;
  /** Takes the bar away. Must be called however the work ended. */
  stop(): void;
}

/** Shows work of `total` equal parts under the name `label`; `counts` says how many are done. */
export function showProgress(
  label: string,
  total: number,
  io: Io,
  counts: (done: number) => string = (done) => `${done}/${total}`,
): Progress {
  return io.stderr.isTTY === true ? bar(label, total, io, counts) : lines(label, io, counts);
}

function bar(label: string, total: number, io: Io, counts: (done: number) => string): Progress {
  const single = new SingleBar(
    {
      format: `${label} {bar} {counts} {note}`,
      barsize: 24,
      stream: io.stderr,
      clearOnComplete: true,
      // Ctrl-C belongs to the command, and may end the process: the bar must leave nothing in the terminal to repair.
      gracefulExit: false,
      hideCursor: false,
      linewrap: true,
      stopOnComplete: false,
    },
    Presets.shades_classic,
  );
  single.start(total, 0, { note: "", counts: counts(0) });
  return {
    update: (done, note = "") =>
      single.update(done, {
        counts: counts(done),
        note: clip(note, (io.stderr.columns || 80) - label.length - 28 - counts(done).length),
      }),
    stop: () => single.stop(),
  };
}

/** A line now and then; work that is soon done says nothing. */
function lines(label: string, io: Io, counts: (done: number) => string): Progress {
  let last = performance.now();
  return {
    update(done, note = "") {
      if (performance.now() - last < LINE_MS) return;
      last = performance.now();
      io.stderr.write(`${label} ${counts(done)}${note === "" ? "" : ` ${note}`}\n`);
    },
    stop() {},
  };
}

function clip(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 2 ? "" : `${text.slice(0, width - 1)}…`;
}
