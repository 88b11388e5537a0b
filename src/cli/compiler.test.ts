import { spawnSync } from "node:child_process";
import { expect, it } from "vitest";
import { laterFlag } from "./compiler.ts";

const isSupported = /^2[02]\./.test(process.versions.node);

it.runIf(isSupported)("has a flag of this version of Node that is larger than usual", () => {
  expect(laterFlag).toMatch(/^--[a-z-]+=\d+$/);
  const [name, value] = laterFlag!.split("=") as [string, string];
  const { status, stdout, stderr } = spawnSync(process.execPath, ["--v8-options"], { encoding: "utf8" });
  expect([status, stderr]).toEqual([0, ""]);
  const standard = new RegExp(`default: ${name}=(\\d+)`).exec(stdout);
  expect(Number(standard?.[1])).toBeGreaterThan(0);
  expect(Number(standard?.[1])).toBeLessThan(Number(value));
});
