/** @file What only a build for Windows would notice: native/node_windows.c looks up the functions that addon.c calls. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { expect, test } from "vitest";

const { symbols } = createRequire(import.meta.url)("node-api-headers") as {
  symbols: Record<string, { js_native_api_symbols: string[]; node_api_symbols: string[] }>;
};
const functions = new Set(
  Object.values(symbols).flatMap((version) => [
    ...version.js_native_api_symbols,
    ...version.node_api_symbols,
  ]),
);
/** The functions of Node-API that a file of `native/` names. */
const named = (file: string) =>
  [...new Set(readFileSync(join(import.meta.dirname, "../native", file), "utf8").match(/\bn(ode_)?api_\w+/g))]
    .filter((name) => functions.has(name))
    .sort();

test("every function of Node-API that the addon calls, and no other", () => {
  expect(named("addon.c").length).toBeGreaterThan(20);
  expect(named("node_windows.c")).toEqual(named("addon.c"));
});
