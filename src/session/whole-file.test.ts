/** @file Tests of files that are there whole or not at all. */

import { mkdir, mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { writeWhole } from "./whole-file.ts";

/** Bytes that the disk still takes. */
let room = Number.POSITIVE_INFINITY;
vi.mock("node:fs/promises", async (load) => {
  const real = await load<typeof import("node:fs/promises")>();
  const writeFile: typeof real.writeFile = async (file, content, options) => {
    const bytes = Buffer.from(content as string);
    await real.writeFile(file, bytes.subarray(0, room), options);
    if (bytes.length > room) throw Object.assign(new Error("ENOSPC: no space left"), { code: "ENOSPC" });
  };
  return { ...real, writeFile };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-"));
});
afterEach(async () => {
  room = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true });
});

test("replaces a file and leaves nothing else; the mode is the one asked for", async () => {
  const file = join(folder, "a");
  await writeWhole(file, "old");
  await writeWhole(file, new TextEncoder().encode("new"), 0o600);
  expect(await readFile(file, "utf8")).toBe("new");
  expect(await readdir(folder)).toEqual(["a"]);
  if (process.platform !== "win32") expect((await stat(file)).mode & 0o777).toBe(0o600);
});

test("a full disk leaves what was there, whole", async () => {
  const file = join(folder, "a");
  await writeWhole(file, "old and whole");
  room = 2;
  await expect(writeWhole(file, "new")).rejects.toMatchObject({
    code: "disk-full",
    message: expect.stringContaining("no room"),
  });
  expect(await readFile(file, "utf8")).toBe("old and whole");
  expect(await readdir(folder)).toEqual(["a"]);
});

test("a place where no file can be is named", async () => {
  await mkdir(join(folder, "taken"));
  for (const file of [join(folder, "taken"), join(folder, "none", "a")]) {
    await expect(writeWhole(file, "x")).rejects.toMatchObject({
      code: "file-unwritable",
      message: expect.stringContaining(`${file} cannot be written`),
    });
  }
  expect(await readdir(folder)).toEqual(["taken"]);
});
