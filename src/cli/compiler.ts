/**
 * @file V8's optimizing compiler in a process that ends soon. It compiles what is hot on threads of its own, which take the cores that passes run on,
 * and a text or two end before that has paid. So functions have to run several times as much as usual before they count as hot.
 */

import { setFlagsFromString } from "node:v8";

/** By major version of Node: V8 names and counts it anew now and then, and complains about names that it does not know. */
const FLAGS: Readonly<Record<string, string>> = {
  20: "--interrupt-budget=500000",
  22: "--invocation-count-for-turbofan=12000",
};

/** The flag for this version of Node; undefined where none is known. */
export const laterFlag: string | undefined = FLAGS[process.versions.node.split(".")[0]!];

/** From now on, less is compiled. For the whole process, so not for a library. */
export function compileLater(): void {
  if (laterFlag !== undefined) setFlagsFromString(laterFlag);
}
