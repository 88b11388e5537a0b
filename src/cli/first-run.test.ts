/** @file Tests of the default model on the command line: which commands take it, and what they say of it once. */

import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runCli } from "../../test/run-cli.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
});
afterEach(() => rm(folder, { recursive: true }));

const welcomes = (stderr: string) =>
  stderr.match(/espalier-tiny answers: .*--model smollm2-135m\n/g)?.length ?? 0;
const run = (line: string, env: Record<string, string> = { ESPALIER_CACHE: join(folder, "cache") }) =>
  runCli(line, { env, stdin: ["/exit"] });

describe("without --model", () => {
  test.each([
    "generate --prompt AB -n 2",
    "chat",
    "bench engine --rows 1 --context 16 --rounds 1 --prefill 8",
  ])("espalier %s takes the embedded model, and says so the first time", async (line) => {
    const first = await run(line);
    expect(first.code).toBe(0);
    expect(first.loads).toMatchObject([{ name: "espalier-tiny" }]);
    expect(welcomes(first.stderr)).toBe(1);
    expect(welcomes((await run(line)).stderr)).toBe(0);
  });

  test("espalier verify and bench as well", async () => {
    const prompts = join(folder, "prompts.jsonl");
    await writeFile(prompts, '{"id": "one", "category": "x", "kind": "completion", "turns": ["ABAB"]}');
    for (const command of ["verify", "bench"]) {
      const { code, loads } = await run(`${command} --prompts ${prompts} -n 2`);
      expect(code, command).toBe(0);
      expect(loads, command).toMatchObject([{ name: "espalier-tiny" }]);
    }
  });

  test("--json says nothing of it, and leaves it for later", async () => {
    expect(welcomes((await run("generate --prompt AB -n 2 --json")).stderr)).toBe(0);
    expect(await readdir(folder)).toEqual([]);
    expect(welcomes((await run("generate --prompt AB -n 2")).stderr)).toBe(1);
  });

  test("where nothing can be remembered it is said every time", async () => {
    const file = join(folder, "file");
    await writeFile(file, "");
    for (const _ of [1, 2]) {
      const { code, stderr } = await run("generate --prompt AB -n 2", {
        ESPALIER_CACHE: join(file, "cache"),
      });
      expect(code).toBe(0);
      expect(welcomes(stderr)).toBe(1);
    }
  });
});

test("a model that was named is loaded without a word", async () => {
  const { loads, stderr } = await run("generate --model toy --prompt AB -n 2");
  expect(loads).toMatchObject([{ name: "toy" }]);
  expect(welcomes(stderr)).toBe(0);
  expect(await readdir(folder)).toEqual([]);
});
