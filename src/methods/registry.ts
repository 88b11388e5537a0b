/** @file The methods by name. */

import { draftModel } from "./draft-model.ts";
import type { Method, MethodOptions } from "./method.ts";
import { plain } from "./plain.ts";
import { promptLookup } from "./prompt-lookup.ts";
import { recycleLookup } from "./recycle-lookup.ts";
import { tokenRecycling } from "./token-recycling.ts";

const METHODS: Readonly<Record<string, (options: MethodOptions) => Method>> = {
  plain,
  "token-recycling": tokenRecycling,
  "prompt-lookup": promptLookup,
  "recycle-lookup": recycleLookup,
  "draft-model": draftModel,
};

/** The method used when none is named and there is no draft model. */
export const defaultMethod = "recycle-lookup";

/** The names of all methods. `draft-model` is for models that were loaded with a draft model. */
export function methodNames(): string[] {
  return Object.keys(METHODS);
}

/** The names of the methods that work with what there is. */
export function usableMethods({ draftModel }: MethodOptions): string[] {
  return methodNames().filter((name) => name !== "draft-model" || draftModel !== undefined);
}

/** The method for requests that name none: whoever brings a draft model wants it used. */
export function defaultMethodOf({ draftModel }: MethodOptions): string {
  return draftModel === undefined ? defaultMethod : "draft-model";
}

/** A new method with nothing learnt. Throws RangeError for a name that is not known, or without what the method needs. */
export function createMethod(name: string, options: MethodOptions): Method {
  const make = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (make === undefined) {
    throw new RangeError(`method is "${name}"; the methods are ${methodNames().join(", ")}`);
  }
  if (!usableMethods(options).includes(name)) {
    throw new RangeError(
      `method ${name} needs a draft model: give draftModel to loadModel, or --draft-model to the command`,
    );
  }
  return make(options);
}
