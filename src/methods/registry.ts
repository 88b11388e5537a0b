/** @file The methods by name. */

import { draftModel } from "./draft-model.ts";
import { eagle } from "./eagle.ts";
import type { Method, MethodOptions } from "./method.ts";
import { plain } from "./plain.ts";
import { promptLookup } from "./prompt-lookup.ts";
import { recycleLookup } from "./recycle-lookup.ts";
import { tokenRecycling } from "./token-recycling.ts";

interface Entry {
  readonly make: (options: MethodOptions) => Method;
  /** What the model must have been loaded with. */
  readonly needs?: keyof typeof NEEDS;
}

/** How to load a model with what a method needs. */
const NEEDS = {
  draftModel: "a draft model: give draftModel to loadModel, or --draft-model to the command",
  head: "a draft head: give head to loadModel, or --head to the command",
} as const;

const METHODS: Readonly<Record<string, Entry>> = {
  plain: { make: plain },
  "token-recycling": { make: tokenRecycling },
  "prompt-lookup": { make: promptLookup },
  "recycle-lookup": { make: recycleLookup },
  "draft-model": { make: draftModel, needs: "draftModel" },
  eagle: { make: eagle, needs: "head" },
};

/** The method used when none is named and there is no draft model. */
export const defaultMethod = "recycle-lookup";

/** The names of all methods. `draft-model` is for models that were loaded with a draft model, `eagle` for those with a draft head. */
export function methodNames(): string[] {
  return Object.keys(METHODS);
}

/** The names of the methods that work with what there is. */
export function usableMethods(options: MethodOptions): string[] {
  return methodNames().filter((name) => isUsable(METHODS[name]!, options));
}

/** The method for requests that name none: whoever brings a draft model wants it used. */
export function defaultMethodOf({ draftModel }: MethodOptions): string {
  return draftModel === undefined ? defaultMethod : "draft-model";
}

/** A new method with nothing learnt. Throws RangeError for a name that is not known, or without what the method needs. */
export function createMethod(name: string, options: MethodOptions): Method {
  const entry = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (entry === undefined) {
    throw new RangeError(`method is "${name}"; the methods are ${methodNames().join(", ")}`);
  }
  if (!isUsable(entry, options)) throw new RangeError(`method ${name} needs ${NEEDS[entry.needs!]}`);
  return entry.make(options);
}

function isUsable({ needs }: Entry, options: MethodOptions): boolean {
  return needs === undefined || options[needs] !== undefined;
}
