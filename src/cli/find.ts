/** @file Finds the model that a command was given; one of the hub is downloaded, one known by name after a question. */

import { createInterface } from "node:readline/promises";
import { megabytes } from "../checkpoint/download.ts";
import type { DownloadProgress } from "../checkpoint/download-progress.ts";
import type { DownloadOffer, DownloadOptions } from "../checkpoint/hub-model.ts";
import { isHubName } from "../checkpoint/hub-name.ts";
import { showDownload } from "./download.ts";
import { Interrupted, interruptible } from "./interrupt.ts";
import type { Io } from "./io.ts";

/** The path of the model's file. Downloads what was named as on the hub; asks before anything else, where somebody can answer. */
export async function find(name: string, { json }: { readonly json?: true }, io: Io): Promise<string> {
  return await downloading(io, (options, signal) =>
    io.findModel(name, {
      ...options,
      download: (offer) => isHubName(offer.name) || (json !== true && ask(offer, io, signal)),
    }),
  );
}

/** Runs `work` with options that show its downloads and let ctrl-C end them. */
export async function downloading<T>(
  io: Io,
  work: (options: DownloadOptions, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const display = showDownload(io);
  let begun = false;
  const onDownload = (progress: DownloadProgress) => {
    begun = true;
    display.update(progress);
  };
  try {
    return await interruptible(io, (signal) =>
      work({ env: io.env, signal, onDownload, onNote: display.note }, signal),
    );
  } catch (error) {
    if (begun && error instanceof Interrupted)
      display.note("stopped; what has come is kept, and the same again goes on from there");
    throw error;
  } finally {
    display.stop();
  }
}

/** Yes by default; no where nobody can answer. */
async function ask(
  { name, bytes, license, from, to }: DownloadOffer,
  io: Io,
  signal: AbortSignal,
): Promise<boolean> {
  if (io.stdin.isTTY !== true || io.stderr.isTTY !== true) return false;
  const lines = createInterface({ input: io.stdin, output: io.stderr, terminal: true });
  const size = bytes === undefined ? [] : [megabytes(bytes)];
  const about = [...size, ...(license === undefined ? [] : [`licence ${license}`])].join(", ");
  const stop = new AbortController();
  // On a terminal ctrl-C is a key that readline sees, not a signal; ctrl-D ends the input.
  lines.on("SIGINT", () => stop.abort(new Interrupted()));
  lines.on("close", () => stop.abort());
  try {
    const answer = await lines.question(
      `${name} is not on this machine. Download it (${about}) from ${from} to ${to}? [Y/n] `,
      { signal: AbortSignal.any([signal, stop.signal]) },
    );
    return /^\s*(y|yes)?\s*$/i.test(answer);
  } catch (error) {
    signal.throwIfAborted();
    if (stop.signal.reason instanceof Interrupted) throw stop.signal.reason;
    if (stop.signal.aborted) return false;
    throw error;
  } finally {
    lines.close();
  }
}
