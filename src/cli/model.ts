/** @file Loads the model a command was given, with progress, and frees it whatever happens. */

import { existsSync } from "node:fs";
import { embeddedModel } from "../checkpoint/embedded.ts";
import { openDatastore } from "../datastore/datastore.ts";
import type { WeightPrecision } from "../engine/weights.ts";
import type { Model } from "../session/model.ts";
import { find } from "./find.ts";
import { welcome } from "./first-run.ts";
import type { Io } from "./io.ts";
import { showProgress } from "./progress.ts";

/** Options of every command that runs a model. */
export interface ModelOptions {
  readonly model: string;
  readonly draftModel?: string;
  readonly head?: string;
  readonly exit?: string;
  readonly ldlp?: string;
  readonly datastore?: string;
  readonly threads?: number;
  readonly context?: number;
  readonly weights?: WeightPrecision;
  /** For commands that go on from earlier use. */
  readonly warmStart?: boolean;
  readonly state?: string;
  readonly json?: true;
}

/** Loads the model, runs `work` on it, and frees it. */
export async function withModel<T>(
  options: ModelOptions,
  io: Io,
  work: (model: Model) => Promise<T>,
): Promise<T> {
  const { model: name, head, exit, ldlp, threads, context, weights, json } = options;
  // Who names a file means that file alone.
  const warmStart = options.warmStart === true && options.state === undefined;
  if (name === embeddedModel && !json) await welcome(io);
  // The embedded model goes by its name, which brings its draft model.
  const path = name === embeddedModel ? name : await find(name, options, io);
  const draftModel =
    options.draftModel === undefined ? undefined : await find(options.draftModel, options, io);
  await using datastore =
    options.datastore === undefined ? undefined : await openDatastore(options.datastore);
  const progress = showProgress(`loading ${name}`, 100, io);
  let model: Model;
  try {
    model = await io.loadModel(path, {
      ...(draftModel === undefined ? {} : { draftModel }),
      ...(head === undefined ? {} : { head }),
      ...(exit === undefined ? {} : { exit }),
      ...(ldlp === undefined ? {} : { ldlp }),
      ...(datastore === undefined ? {} : { datastore }),
      ...(threads === undefined ? {} : { threads }),
      ...(context === undefined ? {} : { contextLength: context }),
      ...(weights === undefined ? {} : { weights }),
      ...(warmStart ? { warmStart, onWarning: (text) => io.stderr.write(`warning: ${text}\n`) } : {}),
      onProgress: (fraction) => progress.update(Math.floor(fraction * 100)),
    });
  } finally {
    progress.stop();
  }
  try {
    return await work(model);
  } finally {
    await model[Symbol.asyncDispose]();
  }
}

/**
 * Runs `work` with what the method had learnt, which is in `file` when that exists, and writes it back. Throws RangeError
 * for a method that learns nothing that could be kept.
 */
export async function withState<T>(
  model: Model,
  { state: file, method = model.defaultMethod }: { readonly state?: string; readonly method?: string },
  work: () => Promise<T>,
): Promise<T> {
  if (file === undefined) return work();
  needsState(model, method);
  if (existsSync(file)) await model.loadState(file, method);
  const result = await work();
  await model.saveState(file, method);
  return result;
}

/** Gives each of the methods that learn what is in `file`; the file stays as it is. */
export async function loadStates(
  model: Model,
  file: string | undefined,
  methods: readonly string[],
): Promise<void> {
  if (file === undefined) return;
  const learning = methods.filter((method) => model.method(method).method.learnt !== undefined);
  if (learning.length === 0) throw new RangeError(`--state: none of ${methods.join(", ")} keeps a state`);
  for (const method of learning) await model.loadState(file, method);
}

function needsState(model: Model, method: string): void {
  if (model.method(method).method.learnt === undefined)
    throw new RangeError(`--state: method ${method} keeps no state: it learns nothing`);
}
