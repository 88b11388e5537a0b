/** @file Tests of models that a command finds, asks for, or downloads. */

import { PassThrough, Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { runCli } from "../../test/run-cli.ts";
import type { FindOptions } from "../checkpoint/find-model.ts";
import { showDownload } from "./download.ts";
import { find } from "./find.ts";
import { Interrupted } from "./interrupt.ts";
import type { Input, Io, Output } from "./io.ts";

const offer = {
  name: "small",
  bytes: 98_400_000,
  license: "Apache-2.0",
  from: "https://hub/small",
  to: "/cache",
};

/** A terminal on which `keys` are typed once the question is there; `findModel` asks whether it may download `offer`. */
function terminal(
  keys: string | undefined,
  { isTTY = true, name = "small" } = {},
): { io: Io; written: () => string } {
  let text = "";
  const stdin = Object.assign(new PassThrough(), { isTTY, setRawMode: () => stdin });
  const stderr = new Writable({
    decodeStrings: false,
    write(chunk: string, _encoding, done) {
      text += chunk;
      if (text.includes("[Y/n]") && keys !== undefined) {
        const typed = keys;
        keys = undefined;
        setImmediate(() => stdin.write(typed));
      }
      done();
    },
  });
  const io = {
    stdin: stdin as unknown as Input,
    stderr: Object.assign(stderr, { isTTY, columns: 200 }) as Output,
    env: { NO_COLOR: "1" },
    async findModel(_: string, { download }: FindOptions) {
      const yes = typeof download === "function" && (await download({ ...offer, name }));
      return yes ? "downloaded" : "refused";
    },
    onInterrupt: () => () => {},
  } as unknown as Io;
  return { io, written: () => text };
}

describe("the question before a download", () => {
  test.each([
    ["\r", "downloaded"],
    ["yes\r", "downloaded"],
    ["Y\r", "downloaded"],
    ["n\r", "refused"],
    ["what?\r", "refused"],
    ["\u0004", "refused"],
  ])("answered by %j", async (keys, result) => {
    const { io, written } = terminal(keys);
    expect(await find("small", {}, io)).toBe(result);
    expect(written()).toContain(
      "small is not on this machine. Download it (98.4 MB, licence Apache-2.0) from https://hub/small to /cache? [Y/n] ",
    );
  });

  test("ctrl-C ends the command", async () => {
    await expect(find("small", {}, terminal("\u0003").io)).rejects.toThrow(Interrupted);
  });

  test("is not asked off a terminal nor with --json, and not for what is named as on the hub", async () => {
    for (const [at, options, result] of [
      [terminal(undefined, { isTTY: false }), {}, "refused"],
      [terminal(undefined), { json: true }, "refused"],
      [terminal(undefined, { name: "hf:o/r:Q4_0" }), {}, "downloaded"],
      [terminal(undefined, { name: "hf:o/r:Q4_0", isTTY: false }), { json: true }, "downloaded"],
    ] as const) {
      expect(await find("small", options, at.io)).toBe(result);
      expect(at.written()).toBe("");
    }
  });
});

describe("a download on the screen", () => {
  test("its bytes, speed and time left; remarks stand between", async () => {
    const { io, written } = terminal(undefined);
    const display = showDownload(io);
    const name = "hf:owner/repo:Q4_K_M";
    display.update({ name, bytes: 1e6, totalBytes: 40e6 });
    await new Promise((done) => setTimeout(done, 600));
    display.update({ name, bytes: 11e6, totalBytes: 40e6 });
    await new Promise((done) => setTimeout(done, 150));
    display.note("trying again");
    display.update({ name, bytes: 2e6, totalBytes: undefined });
    display.stop();
    expect(written()).toMatch(/repo:Q4_K_M .* 11\.0 MB of 40\.0 MB \d+\.\d MB\/s, \d+ s left/);
    expect(written()).toContain("trying again\n");
  });
});

describe("espalier fetch", () => {
  test("prints the path, or an object", async () => {
    const path = import.meta.filename;
    expect(await runCli(["fetch", path])).toMatchObject({ code: 0, stdout: `${path}\n`, stderr: "" });
    const { stdout } = await runCli(["fetch", path, "--json"]);
    expect(JSON.parse(stdout)).toEqual({ model: path, path, bytes: expect.any(Number) });
    expect(await runCli("fetch")).toMatchObject({ code: 1 });
  });
});
