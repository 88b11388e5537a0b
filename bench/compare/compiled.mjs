/** @file The part of this folder that tests read, compiled once for each run. */

import { compiled as compile } from "../compiled.mjs";

const file = compile(import.meta.dirname);

/** A module of `report/`, by its name. */
export const compiled = (name) => file(`report/${name}`);
