/** @file Runs a command line of `espalier` inside the test, on a toy model, and tells what it wrote. */

import { devNull } from "node:os";
import { Readable, Writable } from "node:stream";
import type { Input, Output } from "../src/cli/io.ts";
import { run } from "../src/cli/program.ts";
import type { LoadOptions } from "../src/engine/load.ts";
import type { Model } from "../src/session/model.ts";
import type { ModelParts } from "../src/session/parts.ts";
import { type ToyOptions, ToyTarget } from "../src/target/toy.ts";
import { toyModel } from "./toy-model.ts";

export interface CliOptions {
  /** Made anew for each load. Default: {@link talkingToy}. */
  readonly model?: (options: LoadOptions) => Model;
  /** Lines of standard input. */
  readonly stdin?: readonly string[];
  /** All three streams say that they are a terminal. */
  readonly terminal?: boolean;
  /** Default: a cache that cannot be written, so that tests leave nothing behind. */
  readonly env?: Readonly<Record<string, string>>;
  /** Sees everything as it is written and may press ctrl-C. */
  readonly watch?: (text: string, press: () => void) => void;
}

export interface CliResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
  /** Codes with which the program asked to be ended at once. */
  readonly exits: readonly number[];
  readonly loads: readonly (LoadOptions & { readonly name: string })[];
  /** Models that were loaded and not freed. */
  readonly alive: number;
}

/** A toy that has a chat template; its characters go from "0" to "_". */
export function talkingToy(
  options: ToyOptions = {},
  target = new ToyTarget(options),
  parts: Partial<ModelParts> = {},
): Model {
  return toyModel(options, {
    ...parts,
    target,
    chatTemplate: { render: (messages) => `${messages.map(({ content }) => content).join(":")}?` },
  });
}

export async function runCli(line: string | readonly string[], options: CliOptions = {}): Promise<CliResult> {
  const { model = () => talkingToy(), terminal = false, env = { ESPALIER_CACHE: devNull }, watch } = options;
  const listeners = new Set<() => void>();
  const exits: number[] = [];
  const press = () => {
    for (const listener of [...listeners]) listener();
  };
  const listen = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const output = () => {
    let text = "";
    const stream = new Writable({
      decodeStrings: false,
      write(chunk: string, _encoding, done) {
        text += chunk;
        watch?.(chunk, press);
        done();
      },
    });
    return { stream: Object.assign(stream, { isTTY: terminal, columns: 100 }) as Output, text: () => text };
  };
  const stdout = output();
  const stderr = output();
  const loads: (LoadOptions & { name: string })[] = [];
  let alive = 0;
  const code = await run(typeof line === "string" ? line.split(" ") : line, {
    stdin: Object.assign(Readable.from((options.stdin ?? []).map((text) => `${text}\n`)), {
      isTTY: terminal,
    }) as Input,
    stdout: stdout.stream,
    stderr: stderr.stream,
    env,
    loadModel: async (name, given) => {
      loads.push({ name, ...given });
      given.onProgress?.(0.5);
      given.onProgress?.(1);
      const loaded = model(given);
      alive++;
      const dispose = loaded[Symbol.asyncDispose].bind(loaded);
      loaded[Symbol.asyncDispose] = () => {
        alive--;
        return dispose();
      };
      return loaded;
    },
    findModel: async (path) => path,
    fetchModel: async (path) => path,
    onInterrupt: listen,
    onStop: listen,
    exit: (status) => exits.push(status),
  });
  return { code, stdout: stdout.text(), stderr: stderr.text(), exits, loads, alive };
}

/** The JSON object of the last line. */
export function lastJson(text: string): Record<string, unknown> {
  return JSON.parse(text.trimEnd().split("\n").at(-1)!) as Record<string, unknown>;
}
