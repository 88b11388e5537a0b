/** @file Tests of what all commands have in common: help, version, and what is refused. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { runCli } from "../../test/run-cli.ts";
import { version } from "../engine/version.ts";
import { EspalierError } from "../errors.ts";
import { errorText } from "./report.ts";

const COMMANDS = [
  "generate",
  "trace",
  "chat",
  "verify",
  "bench",
  "demo",
  "serve",
  "info",
  "fetch",
  "datastore",
];

describe("help", () => {
  test("lists the commands with examples", async () => {
    const { code, stdout } = await runCli("--help");
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name}\\b`, "m"));
    expect(stdout).toContain("Examples:");
    const listed = [
      ...stdout
        .split("Commands:")[1]!
        .split("\n\n")[0]!
        .matchAll(/^ {2}([a-z]+)/gm),
    ].map(([, name]) => name);
    expect(listed.filter((name) => name !== "help").sort()).toEqual([...COMMANDS].sort());
  });

  test("the README lists the same commands", () => {
    const readme = readFileSync(join(import.meta.dirname, "../../README.md"), "utf8");
    const listed = [...readme.matchAll(/^\| `espalier ([a-z]+)/gm)].map(([, name]) => name);
    expect([...new Set(listed)].sort()).toEqual([...COMMANDS].sort());
  });

  test.each(["generate", "trace", "chat", "verify", "bench", "demo", "info", "bench engine"])(
    "%s has its own",
    async (name) => {
      const { code, stdout } = await runCli(`${name} --help`);
      expect(code).toBe(0);
      expect(stdout).toContain(`Usage: espalier ${name}`);
      for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(120);
    },
  );

  test("without a command it is shown as an error", async () => {
    const { code, stderr } = await runCli([]);
    expect(code).toBe(1);
    expect(stderr).toContain("Usage: espalier");
  });

  test("--version is the package's", async () => {
    expect((await runCli("--version")).stdout).toBe(`${version()}\n`);
  });
});

test("an unknown command is refused with the nearest one", async () => {
  const { code, stderr } = await runCli("generat --model x");
  expect(code).toBe(1);
  expect(stderr).toContain("unknown command 'generat'");
  expect(stderr).toContain("Did you mean generate?");
});

test("errors read in one line; with debug they tell their cause", () => {
  const cause = new Error("disk on fire");
  const error = new EspalierError("file-unreadable", "cannot read\n  the file", { cause });
  expect(errorText(error, false)).toBe("cannot read the file");
  expect(errorText(error, true)).toContain("caused by Error: disk on fire");
  expect(errorText(new Error("internal: oh"), false)).toBe("internal: oh (--debug shows where)");
  expect(errorText("text", false)).toBe("text");
});
