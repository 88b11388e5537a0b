/** @file What a command may touch of the world outside. `main.ts` gives the process; tests give their own. */

import type { Readable, Writable } from "node:stream";
import type { FindOptions } from "../checkpoint/find-model.ts";
import type { DownloadOptions } from "../checkpoint/hub-model.ts";
import type { LoadOptions } from "../engine/load.ts";
import type { Model } from "../session/model.ts";

export interface Output extends Writable {
  readonly isTTY?: boolean;
  readonly columns?: number;
  readonly rows?: number;
}

export interface Input extends Readable {
  readonly isTTY?: boolean;
}

export interface Io {
  readonly stdin: Input;
  /** Results only: text, tables, the JSON object. */
  readonly stdout: Output;
  /** Progress, remarks and errors. */
  readonly stderr: Output;
  /** The model of a path, or of a name in the cache. */
  loadModel(pathOrName: string, options: LoadOptions): Promise<Model>;
  /** The path of a model's file, given that, a name in the cache, or a name on the hub. */
  findModel(pathOrName: string, options: FindOptions): Promise<string>;
  /** Like `findModel`, but downloads without a question, and looks whether the hub has a newer state. */
  fetchModel(pathOrName: string, options: DownloadOptions): Promise<string>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Calls `listener` at every ctrl-C until the returned function is called; with no listener ctrl-C ends the program. */
  onInterrupt(listener: () => void): () => void;
  /** Like `onInterrupt`, and also when the system asks the program to end. */
  onStop(listener: () => void): () => void;
  /** Ends the program at once. */
  exit(code: number): void;
}

/** Notes the exit code of a command that ends as it should. */
export type Exit = (code: number) => void;

/** Exit codes beside 0; 130 is what shells expect of a program that ctrl-C ended. */
export const FAILED = 1;
export const INTERRUPTED = 130;

/** True when `output` should carry colours: on a terminal, unless NO_COLOR (https://no-color.org) is set. */
export function hasColors(output: Output, io: Io): boolean {
  return output.isTTY === true && allowsColors(io);
}

export function allowsColors(io: Io): boolean {
  return (io.env.NO_COLOR ?? "") === "";
}

/** `text` in grey when `output` shows colours. */
export function dim(text: string, output: Output, io: Io): string {
  return hasColors(output, io) ? `\x1b[2m${text}\x1b[22m` : text;
}

/** Ends a line, and waits until it is written: whatever went wrong with it is known before anything else is said. */
export function endLine(output: Output): Promise<void> {
  return new Promise((resolve) => output.write("\n", () => resolve()));
}

/** The one JSON object of `--json`, as the last line of standard output. */
export function writeJson(value: unknown, io: Io): void {
  io.stdout.write(`${JSON.stringify(value)}\n`);
}
