/**
 * @file What earlier use of a model has learnt, from the user's cache folder, and what this use learns, to the same place. Several programs may
 * do so at once: each reads a file that is whole, and of what several have learnt stays what was written last. Nothing here can make
 * loading or generating fail.
 */

import { dirname } from "node:path";
import type { Kept, Numbers } from "../draft/learnt.ts";
import type { EspalierError } from "../errors.ts";
import type { Keeper } from "../session/parts.ts";
import { readState, writeState } from "../session/state-file.ts";
import { type ModelIdentity, makeStateFolder, stateFile, tidyStateFolder } from "./state-folder.ts";

/** Told of what went wrong, in one line. */
export type Warn = (message: string) => void;

const OFF = "ESPALIER_WARM_START";

/** Whether a program that wants warm starts gets them: its user may not want any. */
export function allowsWarmStart(): boolean {
  return process.env[OFF] !== "0";
}

export class WarmStart implements Keeper {
  readonly #file: string;
  readonly #fingerprint: string;
  readonly #warn: Warn;
  readonly learnt: Kept;
  #failed = false;

  /** Reads what there is of the model. What cannot be used is ignored, with a warning. */
  static async open(model: ModelIdentity, warn: Warn): Promise<WarmStart> {
    const file = stateFile(model, "learnt");
    const { fingerprint } = model;
    return new WarmStart(file, fingerprint, await readKept(file, fingerprint, warn), warn);
  }

  private constructor(file: string, fingerprint: string, learnt: Kept, warn: Warn) {
    this.#file = file;
    this.#fingerprint = fingerprint;
    this.learnt = learnt;
    this.#warn = warn;
  }

  refuse(name: string): void {
    this.#warn(`${UNUSED}: ${this.#file} has a ${name} that cannot be; it will be replaced`);
  }

  async keep(learnt: Kept): Promise<void> {
    try {
      await makeStateFolder(dirname(this.#file));
      // Another program may have kept what this one does not learn.
      const others = await readKept(this.#file, this.#fingerprint);
      await writeState(this.#file, this.#fingerprint, new Map([...others, ...learnt]));
      await tidyStateFolder(dirname(this.#file));
    } catch (error) {
      if (!this.#failed)
        this.#warn(`what was learnt is not kept: ${(error as Error).message}; ${OFF}=0 turns this off`);
      this.#failed = true;
    }
  }
}

const UNUSED = "what was learnt earlier is not used";

/** What is in `file`; nothing when it cannot be used. */
async function readKept(file: string, fingerprint: string, warn?: Warn): Promise<Map<string, Numbers>> {
  try {
    return await readState(file, fingerprint);
  } catch (error) {
    const { code, message } = error as EspalierError;
    if (code !== "file-not-found") warn?.(`${UNUSED}: ${message}`);
    return new Map();
  }
}
