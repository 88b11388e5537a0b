/**
 * @file The model that comes with the package, so that everything works at once and offline: it tells short stories. The
 * draft model beside it has the same vocabulary. What they are made of stands in `models/espalier-tiny/README.md`.
 */

import { fileURLToPath } from "node:url";

export const embeddedModel = "espalier-tiny";
export const embeddedDraftModel = "espalier-tiny-draft";

const FOLDER = new URL("../../models/espalier-tiny/", import.meta.url);

/** The file of an embedded model; undefined for every other name. */
export function embeddedPath(name: string): string | undefined {
  if (name !== embeddedModel && name !== embeddedDraftModel) return undefined;
  return fileURLToPath(new URL(`${name}.gguf`, FOLDER));
}
