/** @file Tests of `espalier verify`: that it finds a single wrong token, and says where. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LossyTarget } from "../../test/lossy-target.ts";
import { lastJson, runCli, talkingToy } from "../../test/run-cli.ts";
import { ToyTarget } from "../target/toy.ts";

let folder: string;
let prompts: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
  prompts = join(folder, "prompts.jsonl");
  const rows = [
    { id: "one", category: "x", kind: "chat", turns: ["ABCABCABC", "DEF"] },
    { id: "two", category: "x", kind: "completion", turns: ["123123123"] },
    { id: "three", category: "y", kind: "chat", system: "SYSTEM", turns: ["12"] },
  ];
  await writeFile(prompts, rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

const toy = { order: 1, longRange: 0 };
const model = () => talkingToy(toy, undefined, { draftModel: new ToyTarget({ ...toy, sharpness: 3 }) });
const lossy = (from: number) => () => talkingToy({}, new LossyTarget(toy, from));

describe("equal", () => {
  test.each([
    "",
    "--method all",
    "--temperature 0.9 --seed 3",
    "--method token-recycling,prompt-lookup --budget 6",
    "--method draft-model,plain",
  ])("%s", async (more) => {
    const line = `verify --model toy --prompts ${prompts} --max-tokens 24 --json ${more}`.trim();
    const { code, stdout, alive } = await runCli(line, { model });
    expect(code).toBe(0);
    const json = lastJson(stdout);
    expect(json).toMatchObject({ prompts: 3, equal: true, firstDivergence: null });
    expect(json.tokens).toBeGreaterThan(3);
    expect(alive).toBe(0);
  });

  test("--limit takes fewer prompts, several files are read", async () => {
    const line = `verify --model toy --prompts ${prompts} --limit 2 --json`;
    expect(lastJson((await runCli(line, { model })).stdout)).toMatchObject({ prompts: 2 });
    const copy = join(folder, "copy.jsonl");
    await writeFile(copy, JSON.stringify({ id: "one", category: "z", kind: "completion", turns: ["A"] }));
    const both = `verify --model toy --prompts ${prompts},${copy} --max-tokens 4`;
    expect((await runCli(both, { model })).stdout).toMatch(
      /^equal: 4 prompts, \d+ tokens, .* against plain\n$/,
    );
  });
});

describe("not equal", () => {
  test("one wrong token ends in exit code 1 and its place", async () => {
    const line = `verify --model toy --prompts ${prompts} --max-tokens 24 --budget 8`;
    const { code, stdout } = await runCli(`${line} --json`, { model: lossy(12) });
    expect(code).toBe(1);
    const json = lastJson(stdout);
    expect(json).toMatchObject({ equal: false, prompts: 3 });
    expect(json.firstDivergence).toEqual({
      prompt: "one",
      turn: expect.any(Number),
      position: expect.any(Number),
      expected: expect.any(Number),
      got: expect.any(Number),
      method: expect.any(String),
    });
    const text = await runCli(line, { model: lossy(12) });
    expect(text.code).toBe(1);
    expect(text.stdout).toMatch(/^NOT EQUAL: .*\nfirst at prompt "one", turn \d, token \d+ of the answer: /);
  });
});

describe("what it refuses", () => {
  test.each([
    ["--prompts nowhere.jsonl", "no prompt file at nowhere.jsonl"],
    ["", "required option '--prompts <files>' not specified"],
    ["--prompts a,,b", "It must be a list such as a,b,c."],
    ["--prompts a --method magic", "the methods are"],
    ["--prompts a --limit 0", "--limit <n>' argument '0' is invalid"],
  ])("%s", async (more, message) => {
    const { code, stderr, loads } = await runCli(`verify --model toy ${more}`.trim(), { model });
    expect(code).toBe(1);
    expect(stderr).toContain(message);
    expect(loads).toEqual([]);
  });

  test("a prompt that does not fit, by its id; a state for methods that keep none", async () => {
    const small = () => talkingToy({ contextLength: 8 });
    const line = `verify --model toy --prompts ${prompts}`;
    expect((await runCli(line, { model: small })).stderr).toMatch(
      /^error: prompt "one": the prompt has 10 tokens/,
    );
    const without = await runCli(`${line} --method draft-model`, { model: () => talkingToy() });
    expect(without.stderr).toContain("method draft-model needs a draft model");
    const state = await runCli(`${line} --method plain --state x`, { model });
    expect(state.stderr).toContain("none of plain keeps a state");
  });
});

test("ctrl-C ends it with what was checked so far", async () => {
  const { code, stdout } = await runCli(`verify --model toy --prompts ${prompts} --json`, {
    model,
    terminal: true,
    watch: (text, press) => text.includes("verify") && press(),
  });
  expect(code).toBe(130);
  expect(lastJson(stdout)).toMatchObject({ equal: true });
  expect(lastJson(stdout).prompts).toBeLessThan(3);
});
