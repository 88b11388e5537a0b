/**
 * @file What earlier use of a model has learnt and what its passes took, from the user's cache folder, and what this use learns, to the same
 * place. Several programs may do so at once: each reads files that are whole, and of what several have learnt stays what was written last.
 * Nothing here can make loading or generating fail.
 */

import { dirname } from "node:path";
import type { Kept } from "../draft/learnt.ts";
import type { EspalierError } from "../errors.ts";
import type { Costs, Keeper } from "../session/parts.ts";
import { readState, writeState } from "../session/state-file.ts";
import { isFresh, type KeptCosts, machineOf, readCosts, writeCosts } from "./kept-costs.ts";
import { type ModelIdentity, makeStateFolder, stateFile, tidyStateFolder } from "./state-folder.ts";

/** Told of what went wrong, in one line. */
export type Warn = (message: string) => void;

const OFF = "ESPALIER_WARM_START";
const UNUSED = "what was learnt earlier is not used";

/** Whether a program that wants warm starts gets them: its user may not want any. */
export function allowsWarmStart(): boolean {
  return process.env[OFF] !== "0";
}

export interface WarmStartOptions {
  readonly model: ModelIdentity;
  /** What the engine runs with and who drafts, as far as times depend on it. */
  readonly settings: readonly string[];
  /** Whether times of passes are read and kept, too. */
  readonly keepsTimes: boolean;
  readonly warn: Warn;
}

export class WarmStart implements Keeper {
  readonly #fingerprint: string;
  readonly #warn: Warn;
  readonly #learntFile: string;
  readonly #costsFile: string | undefined;
  #learnt: Kept = new Map();
  #costs: KeptCosts | undefined;
  #failed = false;

  /** Reads what there is of the model. What cannot be used is ignored, with a warning. */
  static async open(options: WarmStartOptions): Promise<WarmStart> {
    const start = new WarmStart(options);
    await start.#read();
    return start;
  }

  private constructor({ model, settings, keepsTimes, warn }: WarmStartOptions) {
    this.#fingerprint = model.fingerprint;
    this.#warn = warn;
    this.#learntFile = stateFile(model, "learnt");
    this.#costsFile = keepsTimes ? stateFile(model, "costs", machineOf(settings)) : undefined;
  }

  get learnt(): Kept {
    return this.#learnt;
  }

  /** What passes and questions took; undefined when that is not known, or was long ago. */
  get costs(): Costs | undefined {
    return this.#costs;
  }

  refuse(name: string): void {
    this.#warn(`${UNUSED}: ${this.#learntFile} has a ${name} that cannot be; it will be replaced`);
  }

  async keep(learnt: Kept, costs: Costs | undefined): Promise<void> {
    try {
      const folder = dirname(this.#learntFile);
      await makeStateFolder(folder);
      if (learnt.size > 0) {
        // Another program may have kept what this one does not learn.
        const others = (await this.#try(() => readState(this.#learntFile, this.#fingerprint))) ?? [];
        await writeState(this.#learntFile, this.#fingerprint, new Map([...others, ...learnt]));
      }
      if (this.#costsFile && costs) {
        this.#costs = { ...costs, measured: this.#costs?.measured ?? Date.now() };
        await writeCosts(this.#costsFile, this.#fingerprint, this.#costs);
      }
      await tidyStateFolder(folder);
    } catch (error) {
      if (!this.#failed)
        this.#warn(`what was learnt is not kept: ${(error as Error).message}; ${OFF}=0 turns this off`);
      this.#failed = true;
    }
  }

  async #read(): Promise<void> {
    const warn = ({ message }: Error) => this.#warn(`${UNUSED}: ${message}`);
    const file = this.#costsFile;
    this.#learnt = (await this.#try(() => readState(this.#learntFile, this.#fingerprint), warn)) ?? new Map();
    const costs = file && (await this.#try(() => readCosts(file, this.#fingerprint), warn));
    if (costs && isFresh(costs)) this.#costs = costs;
  }

  /** What `read` gives; undefined when there is no such file, or none that can be used, which `warn` is told. */
  async #try<T>(read: () => Promise<T>, warn?: (error: Error) => void): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      if ((error as EspalierError).code !== "file-not-found") warn?.(error as Error);
      return undefined;
    }
  }
}
