import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cachedModelPath, cachedModels, modelFolder } from "./model-cache.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cache-"));
  await mkdir(join(folder, "models"));
  for (const name of ["b.gguf", "a.gguf", "notes.txt"]) await writeFile(join(folder, "models", name), "");
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test("the folder is ESPALIER_CACHE, else one in XDG_CACHE_HOME, else the platform's", () => {
  const env = { ESPALIER_CACHE: "/x", XDG_CACHE_HOME: "/y" };
  expect(modelFolder(env)).toBe(join("/x", "models"));
  expect(modelFolder({ ...env, ESPALIER_CACHE: "" })).toBe(join("/y", "espalier", "models"));
  const fallback = modelFolder({ XDG_CACHE_HOME: "relative" });
  expect(isAbsolute(fallback)).toBe(true);
  expect(fallback).toBe(modelFolder({}));
});

test("models in the cache are listed by name", async () => {
  expect(await cachedModels({ ESPALIER_CACHE: folder })).toEqual(["a", "b"]);
  expect(await cachedModels({ ESPALIER_CACHE: join(folder, "none") })).toEqual([]);
  expect(cachedModelPath("b", { ESPALIER_CACHE: folder })).toBe(join(folder, "models", "b.gguf"));
});
