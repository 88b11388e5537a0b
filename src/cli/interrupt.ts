/** @file Ctrl-C: the first one asks the work to end and to show what there is, the second one ends the program. */

import { INTERRUPTED, type Io } from "./io.ts";

/** What work that cannot show a part of its result ends with. */
export class Interrupted extends Error {
  override readonly name = "Interrupted";
}

/** Runs `work` with a signal that the first ctrl-C aborts. */
export async function interruptible<T>(io: Io, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const controller = new AbortController();
  const stop = io.onInterrupt(() => {
    if (controller.signal.aborted) io.exit(INTERRUPTED);
    else controller.abort(new Interrupted());
  });
  try {
    return await work(controller.signal);
  } finally {
    stop();
  }
}
