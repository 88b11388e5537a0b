import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { makeStateFolder, stateFile, stateFolder, tidyStateFolder } from "./state-folder.ts";

let env: { ESPALIER_CACHE: string };
let folder: string;
beforeEach(async () => {
  env = { ESPALIER_CACHE: await mkdtemp(join(tmpdir(), "espalier-state-")) };
  folder = stateFolder(env);
  await makeStateFolder(folder);
});
afterEach(() => rm(env.ESPALIER_CACHE, { recursive: true }));

async function put(name: string, bytes: number, secondsAgo: number): Promise<void> {
  const path = join(folder, name);
  await writeFile(path, new Uint8Array(bytes));
  const time = new Date(Date.now() - 1000 * secondsAgo);
  await utimes(path, time, time);
}

describe("the file of a model", () => {
  const model = { path: "/models/Some model (2).gguf", fileSize: 1000, fingerprint: "ab" };
  const nameOf = (change: Partial<typeof model>, more?: readonly string[]) =>
    stateFile({ ...model, ...change }, "learnt", more, env);

  it("has the model's name, and stays the same when the model is moved", () => {
    expect(nameOf({})).toMatch(/[/\\]state[/\\]Some_model__2_-[0-9a-f]{16}\.learnt$/);
    expect(nameOf({ path: "/elsewhere/Some model (2).gguf" })).toBe(nameOf({}));
  });

  it("is another one for another model, and for what else it depends on", () => {
    const names = [
      nameOf({}),
      nameOf({ path: "/models/Some model _2_.gguf" }),
      nameOf({ fileSize: 1001 }),
      nameOf({ fingerprint: "ac" }),
      nameOf({}, ["avx2"]),
      nameOf({}, ["avx", "2"]),
      stateFile(model, "costs", [], env),
    ];
    expect(new Set(names).size).toBe(names.length);
  });

  it("stays in the folder whatever the model is called", () => {
    for (const path of ["..", "/models/..gguf", "a/\0b.gguf", `/${"x".repeat(500)}.gguf`]) {
      expect(nameOf({ path })).toMatch(/[/\\]state[/\\][\w.-]{1,120}$/);
    }
  });
});

describe("tidying up", () => {
  it("keeps so many files and bytes, those that were written last, and all that is not ours", async () => {
    for (let i = 0; i < 5; i++) await put(`m${i}.learnt`, 10, 100 * i);
    await put("m.costs", 1, 50);
    await put("notes.txt", 1000, 9999);
    await mkdir(join(folder, "more"));
    await tidyStateFolder(folder, { files: 4, bytes: 1000 });
    const others = ["more", "notes.txt"];
    expect((await readdir(folder)).sort()).toEqual([
      "m.costs",
      "m0.learnt",
      "m1.learnt",
      "m2.learnt",
      ...others,
    ]);
    await tidyStateFolder(folder, { files: 4, bytes: 21 });
    expect((await readdir(folder)).sort()).toEqual(["m.costs", "m0.learnt", "m1.learnt", ...others]);
  });

  it("deletes what was never finished, unless somebody may still write it", async () => {
    await put("m.learnt.0a1b-2c.part", 10, 4000);
    await put("m.costs.ffff-00.part", 10, 20);
    await tidyStateFolder(folder);
    expect(await readdir(folder)).toEqual(["m.costs.ffff-00.part"]);
  });

  it.skipIf(process.platform === "win32")("the folder is for its user's eyes alone", async () => {
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
  });
});
