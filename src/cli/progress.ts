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

/** Shows work of `total` equal parts under the name `label`. */
export function showProgress(label: string, total: number, io: Io): Progress {
  return io.stderr.isTTY === true ? bar(label, total, io) : lines(label, total, io);
}

function bar(label: string, total: number, io: Io): Progress {
  const single = new SingleBar(
    {
      format: `${label} {bar} {value}/{total} {note}`,
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
  single.start(total, 0, { note: "" });
  return {
    update: (done, note = "") =>
      single.update(done, { note: clip(note, (io.stderr.columns || 80) - label.length - 48) }),
    stop: () => single.stop(),
  };
}

/** A line now and then; work that is soon done says nothing. */
function lines(label: string, total: number, io: Io): Progress {
  let last = performance.now();
  return {
    update(done, note = "") {
      if (performance.now() - last < LINE_MS) return;
      last = performance.now();
      io.stderr.write(`${label} ${done}/${total}${note === "" ? "" : ` ${note}`}\n`);
    },
    stop() {},
  };
}

function clip(text: string, width: number): string {
  if (text.length <= width) return text;
  return width < 2 ? "" : `${text.slice(0, width - 1)}…`;
}
