/** @file How a download gets on, on standard error: bytes, speed, and the time that is left. */

import { megabytes } from "../checkpoint/download.ts";
import type { DownloadProgress } from "../checkpoint/download-progress.ts";
import { dim, type Io } from "./io.ts";
import { type Progress, showProgress } from "./progress.ts";

/** The speed is that of the last seconds, in ms. */
const WINDOW_MS = 5000;

export interface DownloadDisplay {
  readonly update: (progress: DownloadProgress) => void;
  /** A remark between the bars. */
  readonly note: (text: string) => void;
  readonly stop: () => void;
}

export function showDownload(io: Io): DownloadDisplay {
  let bar: Progress | undefined;
  let speed = new Speed();
  const stop = () => {
    bar?.stop();
    bar = undefined;
  };
  return {
    update({ name, bytes, totalBytes }) {
      if (bar === undefined) {
        speed = new Speed();
        const counts = (done: number) =>
          totalBytes === undefined ? megabytes(done) : `${megabytes(done)} of ${megabytes(totalBytes)}`;
        bar = showProgress(name.split("/").at(-1)!, totalBytes ?? 0, io, counts);
      }
      bar.update(bytes, speed.note(bytes, totalBytes));
    },
    note(text) {
      stop();
      io.stderr.write(`${dim(text, io.stderr, io)}\n`);
    },
    stop,
  };
}

class Speed {
  readonly #samples: { readonly at: number; readonly bytes: number }[] = [];

  note(bytes: number, totalBytes: number | undefined): string {
    const now = performance.now();
    const samples = this.#samples;
    // A download that starts anew has fewer bytes than before.
    if (bytes < (samples.at(-1)?.bytes ?? 0)) samples.length = 0;
    if (now - (samples.at(-1)?.at ?? 0) > 100) samples.push({ at: now, bytes });
    while (samples.length > 2 && now - samples[0]!.at > WINDOW_MS) samples.shift();
    const [first] = samples;
    if (first === undefined || now - first.at < 500 || bytes === first.bytes) return "";
    const perSecond = ((bytes - first.bytes) / (now - first.at)) * 1000;
    const left = totalBytes === undefined ? "" : `, ${duration((totalBytes - bytes) / perSecond)} left`;
    return `${megabytes(perSecond)}/s${left}`;
  }
}

function duration(seconds: number): string {
  if (seconds < 100) return `${Math.ceil(seconds)} s`;
  return seconds < 6000 ? `${Math.ceil(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
