/** @file What a command loads: a server and the check of traces take a tenth of a second, which one answer has no use for. */

import { expect, test, vi } from "vitest";
import { runCli } from "../../test/run-cli.ts";

const loaded = vi.hoisted(() => new Set<string>());

vi.mock("../server/app.ts", async (original) => {
  loaded.add("server");
  return await original();
});
vi.mock("./trace/format.ts", async (original) => {
  loaded.add("traces");
  return await original();
});

test("a command loads what it needs, help everything", async () => {
  expect((await runCli("generate --help")).stdout).toContain("espalier generate");
  expect([...loaded]).toEqual([]);
  expect((await runCli("serve --help")).stdout).toContain("espalier serve");
  expect([...loaded]).toEqual(["server"]);
  expect((await runCli("help")).code).toBe(0);
  expect(loaded).toContain("traces");
});
