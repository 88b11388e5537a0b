/**
 * @file The layers: a file of `src/` imports only from its own folder or from a folder above it in the list of
 * docs/architecture.md, and never from a package that users of the library do not install.
 */

import { readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, normalize } from "node:path";
import { describe, expect, test } from "vitest";

/** From the words everyone shares down to the public exports: a layer may use those before it. */
const LAYERS = [
  "text",
  "tree",
  "target",
  "sampling",
  "draft",
  "structure",
  "plan",
  "methods",
  "session",
  "checkpoint",
  "engine",
  "datastore",
  "server",
  "ai-sdk",
  "cli",
];
const SHARED = ["types.ts", "errors.ts", "random.ts"];
const ENTRY = "index.ts";

/** Place of a file of `src/` in the order; -1 for the shared words, undefined for a file that has no place. */
function layerOf(file: string): number | undefined {
  const [folder, ...rest] = file.split("/");
  if (rest.length === 0) {
    if (SHARED.includes(file)) return -1;
    return file === ENTRY ? LAYERS.length : undefined;
  }
  const layer = LAYERS.indexOf(folder!);
  return layer < 0 ? undefined : layer;
}

/** Every module a source text names: static imports, re-exports, side-effect imports and `import("…")`. */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  const statements = /^\s*(?:import|export)\s+(?:[\w\s{},*$]+?\bfrom\s+)?["']([^"']+)["']/gm;
  const calls = /\bimport\(\s*["']([^"']+)["']/g;
  return [...code.matchAll(statements), ...code.matchAll(calls)].map((match) => match[1]!);
}

/** What is wrong with `file` importing `specifier`; undefined when nothing is. */
function fault(file: string, specifier: string, packages: ReadonlySet<string>): string | undefined {
  if (!specifier.startsWith(".")) {
    const name = specifier
      .split("/")
      .slice(0, specifier.startsWith("@") ? 2 : 1)
      .join("/");
    const known = specifier.startsWith("node:")
      ? builtinModules.includes(specifier.slice(5))
      : packages.has(name);
    return known
      ? undefined
      : `${file} imports "${specifier}", which is not in the dependencies of package.json`;
  }
  const imported = normalize(join(dirname(file), specifier));
  const from = layerOf(file);
  const to = layerOf(imported);
  if (to === undefined) return `${file} imports "${specifier}", which is in no layer of src/`;
  if (from === undefined || to <= from) return undefined;
  return `${file} imports ${imported}: ${nameOf(to)} is below ${nameOf(from)}; turn the dependency round or move the file`;
}

const nameOf = (layer: number) => (layer === LAYERS.length ? ENTRY : `${LAYERS[layer] ?? "shared"}/`);

const root = join(import.meta.dirname, "..");
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  dependencies?: Record<string, string>;
};
const packages = new Set(Object.keys(manifest.dependencies ?? {}));
const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .map((file) => file.replaceAll("\\", "/"))
  .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));

describe("layers", () => {
  test("every file of src/ has a place in the order", () => {
    const lost = files.filter((file) => layerOf(file) === undefined);
    expect(lost, "put these files into a layer, or name the layer here and in docs/architecture.md").toEqual(
      [],
    );
  });

  test("imports go to the file's own folder or to one above it", () => {
    const faults = files.flatMap((file) =>
      importsOf(readFileSync(join(root, "src", file), "utf8"))
        .map((specifier) => fault(file, specifier, packages))
        .filter((message) => message !== undefined),
    );
    expect(faults).toEqual([]);
  });

  test("docs/architecture.md lists the same layers in the same order", () => {
    const text = readFileSync(join(root, "docs", "architecture.md"), "utf8");
    const listed = [...text.matchAll(/^ {2}([a-z-]+)\/ {2,}/gm)].map((match) => match[1]);
    expect(listed).toEqual(LAYERS);
  });
});

describe("the check itself", () => {
  const sample = `/** @file import "./comment.ts" */
import { a } from "./near.ts";
import type { B } from "../cli/main.ts";
import "../side/effect.ts";
export { c } from "../index.ts";
// import "./gone.ts";
const later = await import("../engine/load.ts");`;

  test("sees static, type, side-effect, re-exported and dynamic imports, and no comments", () => {
    expect(importsOf(sample)).toEqual([
      "./near.ts",
      "../cli/main.ts",
      "../side/effect.ts",
      "../index.ts",
      "../engine/load.ts",
    ]);
    expect(importsOf(`import {\n  one,\n  two,\n} from "./many.ts";`)).toEqual(["./many.ts"]);
  });

  test("tells a downward import, a stray folder and a package that is not installed for users", () => {
    const known = new Set(["commander"]);
    expect(fault("tree/draft-tree.ts", "../types.ts", known)).toBeUndefined();
    expect(fault("tree/draft-tree.ts", "./prune.ts", known)).toBeUndefined();
    expect(fault("cli/main.ts", "commander", known)).toBeUndefined();
    expect(fault("tree/draft-tree.ts", "../session/api.ts", known)).toMatch(/session\/ is below tree\//);
    expect(fault("types.ts", "./text/tokenizer.ts", known)).toMatch(/text\/ is below shared\//);
    expect(fault("cli/main.ts", "../index.ts", known)).toMatch(/index.ts is below cli\//);
    expect(fault("tree/draft-tree.ts", "../helpers/x.ts", known)).toMatch(/in no layer/);
    expect(fault("cli/main.ts", "vitest", known)).toMatch(/dependencies/);
    expect(fault("cli/main.ts", "node:nothing", known)).toMatch(/dependencies/);
  });
});
