import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { LockFile } from "./lock-file.ts";

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-lock-"));
  path = join(folder, "lock");
});
afterEach(() => rm(folder, { recursive: true }));

test("one at a time, and nothing is left", async () => {
  let inside = 0;
  let most = 0;
  const work = async () => {
    await using _lock = await LockFile.take(path);
    most = Math.max(most, ++inside);
    await new Promise((done) => setTimeout(done, 10));
    inside--;
  };
  await Promise.all([work(), work(), work()]);
  expect(most).toBe(1);
  expect(await readdir(folder)).toEqual([]);
});

test("a lock of a process that is gone, or that has long been silent, is taken away", async () => {
  const pid = Number(execFileSync(process.execPath, ["-p", "process.pid"], { encoding: "utf8" }));
  await writeFile(path, JSON.stringify({ host: hostname(), pid }));
  await (await LockFile.take(path))[Symbol.asyncDispose]();
  await writeFile(path, JSON.stringify({ host: "elsewhere", pid: 1 }));
  const old = new Date(Date.now() - 120_000);
  await utimes(path, old, old);
  await (await LockFile.take(path))[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual([]);
});

test.each(['{"host":"elsewhere","pid":1}', "", "null", "half"])(
  "a fresh lock that says %j is waited for, until an abort",
  async (owner) => {
    await writeFile(path, owner);
    const stop = new AbortController();
    const waiting = LockFile.take(path, {
      signal: stop.signal,
      onWait: () => stop.abort(new Error("enough")),
    });
    await expect(waiting).rejects.toThrow("enough");
    expect(await readdir(folder)).toEqual(["lock"]);
  },
);

test("a lock that somebody took away is not taken from the next one", async () => {
  const lock = await LockFile.take(path);
  await writeFile(path, "another");
  await lock[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual(["lock"]);
});
