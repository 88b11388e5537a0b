/** @file What only a build for Windows would notice: native/node_windows.c looks up the functions that the addon calls. */

import { readdirSync, readFileSync } from "node:fs";
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
const native = join(import.meta.dirname, "../native");
/** The functions of Node-API that files of `native/` name. */
const named = (...files: string[]) => {
  const text = files.map((file) => readFileSync(join(native, file), "utf8")).join("\n");
  return [...new Set(text.match(/\bn(ode_)?api_\w+/g))].filter((name) => functions.has(name)).sort();
};

test("every function of Node-API that the addon calls, and no other", () => {
  const addon = readdirSync(native).filter((file) => /^addon\w*\.[ch]$/.test(file));
  expect(named(...addon).length).toBeGreaterThan(20);
  expect(named("node_windows.c")).toEqual(named(...addon));
});
