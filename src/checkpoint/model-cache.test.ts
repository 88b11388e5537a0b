import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAbsolute, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { cachedModelPath, cachedModels, modelFolder, resolveModel } from "./model-cache.ts";

let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cache-"));
  await mkdir(join(folder, "models"));
  for (const name of ["b.gguf", "a.gguf", "notes.txt"]) await writeFile(join(folder, "models", name), "");
  await writeFile(join(folder, "own.gguf"), "");
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

test("a model is found by path or by name", async () => {
  const env = { ESPALIER_CACHE: folder };
  expect(await cachedModels(env)).toEqual(["a", "b"]);
  expect(await resolveModel(join(folder, "own.gguf"), env)).toBe(join(folder, "own.gguf"));
  expect(await resolveModel("b", env)).toBe(cachedModelPath("b", env));
});

test.each(["c", "", "../own", "models/a", "notes.txt", "."])(
  "%j is not found, and the models there are listed",
  async (name) => {
    const failed = resolveModel(name, { ESPALIER_CACHE: folder });
    await expect(failed).rejects.toThrow(`no model ${JSON.stringify(name)}`);
    await expect(failed).rejects.toThrow(/models there: a, b\).*fetch:smollm2/);
    await expect(failed).rejects.toMatchObject({ code: "file-not-found" });
  },
);

test.each(["espalier-tiny", "espalier-tiny-draft"])("%s is there without a cache", async (name) => {
  const path = await resolveModel(name, { ESPALIER_CACHE: join(folder, "none") });
  expect(path).toContain(join("models", "espalier-tiny", `${name}.gguf`));
  expect((await stat(path)).size).toBeGreaterThan(1e6);
});

test("without a cache nothing is found, and that is said", async () => {
  await expect(resolveModel("a", { ESPALIER_CACHE: join(folder, "none") })).rejects.toThrow(
    /no models are there/,
  );
});
