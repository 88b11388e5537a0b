/** @file The methods by name. */

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
};

/** The method used when none is named. */
export const defaultMethod = "recycle-lookup";

/** All names that {@link createMethod} knows. */
export function methodNames(): string[] {
  return Object.keys(METHODS);
}

/** A new method with nothing learnt. Throws RangeError for a name that is not known. */
export function createMethod(name: string, options: MethodOptions): Method {
  const make = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (make === undefined) {
    throw new RangeError(`method is "${name}"; the methods are ${methodNames().join(", ")}`);
  }
  return make(options);
}
