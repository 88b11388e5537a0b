/** @file Which engine is loaded: the one built here, else the one of the package; and what is said when there is none. */

import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { loadNativeFile, platformName } from "../src/engine/native-file.ts";

const engine = join(import.meta.dirname, "../native/build/espalier.node");
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "espalier-native-file-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function place(path: string, broken = false): string {
  const file = join(root, path);
  mkdirSync(dirname(file), { recursive: true });
  if (broken) writeFileSync(file, "not a library");
  else copyFileSync(engine, file);
  return file;
}

const load = (options: { platform?: string; other?: string } = {}) => loadNativeFile({ root, ...options });
const noEngine = (...parts: string[]) =>
  expect.objectContaining({
    name: "EspalierError",
    code: "no-engine",
    message: expect.stringMatching(
      parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*"),
    ) as string,
  });

test("the platform's name tells systems, architectures and C libraries apart", () => {
  expect(platformName()).toMatch(/^[a-z0-9]+-[a-z0-9]+(-musl)?$/);
  expect(platformName()).toContain(`${process.platform}-${process.arch}`);
});

test("the package's engine for this platform is loaded", () => {
  place(`prebuilds/${platformName()}/espalier.node`);
  expect(load()).toHaveProperty("forward");
});

test("one that was built here goes before it", () => {
  place("native/build/espalier.node");
  place(`prebuilds/${platformName()}/espalier.node`, true);
  expect(load()).toHaveProperty("forward");
});

test("one that was built here and cannot be loaded is not passed over", () => {
  const built = place("native/build/espalier.node", true);
  place(`prebuilds/${platformName()}/espalier.node`);
  expect(() => load()).toThrow(noEngine("built here cannot be loaded", "build-native.mjs", built));
});

test("a package's engine that cannot be loaded tells why, and how to build one", () => {
  const file = place("prebuilds/linux-x64/espalier.node", true);
  expect(() => load({ platform: "linux-x64" })).toThrow(
    noEngine("linux-x64 cannot be loaded: ", file, "build-native.mjs", "C compiler"),
  );
});

test("a platform without an engine is named, with what was looked for and how to build one", () => {
  expect(() => load({ platform: "plan9-mips" })).toThrow(
    noEngine("no engine for plan9-mips", join(root, "native/build"), "plan9-mips", "build-native.mjs"),
  );
});

test("another build is used instead of all others, or refused by name", () => {
  place("native/build/espalier.node", true);
  expect(load({ other: place("mine.node") })).toHaveProperty("forward");
  expect(() => load({ other: join(root, "gone.node") })).toThrow(noEngine("ESPALIER_NATIVE", "gone.node"));
});
