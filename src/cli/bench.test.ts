/** @file Tests of `espalier bench` and `bench engine`: that what they count is right, never how fast anything is. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { LossyTarget } from "../../test/lossy-target.ts";
import { lastJson, runCli, talkingToy } from "../../test/run-cli.ts";
import { ToyExit, ToyHead } from "../../test/toy-head.ts";
import { methodNames } from "../methods/registry.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import { ToyTarget } from "../target/toy.ts";
import type { Figures } from "./tally.ts";

let folder: string;
let prompts: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
  prompts = join(folder, "prompts.jsonl");
  const rows = [
    { id: "one", category: "x", kind: "chat", turns: ["ABCABCABC", "DEF"] },
    { id: "two", category: "x", kind: "completion", turns: ["123123123"] },
    { id: "three", category: "y", kind: "chat", turns: ["12"] },
  ];
  await writeFile(prompts, rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

const toy = { order: 1, longRange: 0 };
const lengths: LengthPredictor = { taps: [0, 2], longest: 3, predict: () => 2 };
const model = () => {
  const draftModel = new ToyTarget({ ...toy, sharpness: 3 });
  return talkingToy(toy, undefined, {
    draftModel,
    head: new ToyHead(draftModel),
    exit: new ToyExit(draftModel),
    lengths,
  });
};
type ByMethod = Record<string, Figures>;

describe("bench", () => {
  test("counts tokens, passes and MAT the same way for every method, by category and in all", async () => {
    const { code, stdout, alive } = await runCli(
      `bench --model toy --prompts ${prompts} --max-tokens 30 --json`,
      { model },
    );
    expect(code).toBe(0);
    expect(alive).toBe(0);
    const json = lastJson(stdout);
    expect(json).toMatchObject({ equal: true, firstDivergence: null, machine: { isa: "none", threads: 1 } });
    expect(json.commit).toMatch(/^([0-9a-f]{40}(-dirty)?|v\d+\.\d+\.\d+.*)$/);
    const all = json.methods as ByMethod;
    const categories = json.categories as Record<string, ByMethod>;
    expect(Object.keys(all)).toEqual(methodNames());
    for (const category of Object.values(categories)) expect(Object.keys(category)).toEqual(methodNames());
    expect(Object.keys(categories)).toEqual(["x", "y"]);
    for (const [method, figures] of Object.entries(all)) {
      const parts = Object.values(categories).map((category) => category[method]!);
      for (const count of ["prompts", "tokens", "passes"] as const) {
        expect(figures[count]).toBe(parts.reduce((sum, part) => sum + part[count], 0));
      }
      expect(figures.prompts).toBe(3);
      expect(figures.tokens).toBe(all.plain!.tokens);
      expect(figures.mat).toBeCloseTo(figures.tokens / figures.passes, 10);
      expect(figures.tokensPerSecond).toBeGreaterThan(0);
      expect(figures.outsidePasses).toBeGreaterThan(0);
      expect(figures.outsidePasses).toBeLessThan(1);
      expect(figures.drafting).toBeLessThan(figures.outsidePasses);
      expect(figures.drafted - figures.wasted).toBe(figures.tokens - figures.passes);
    }
    expect(all.plain).toMatchObject({ mat: 1, overPlain: { median: 1, low: 1, high: 1 } });
    expect(all["token-recycling"]!.mat).toBeGreaterThan(1);
    expect(all["draft-model"]!.mat).toBeGreaterThan(1.5);
    expect((json.meanOverCategories as Record<string, number>).plain).toBe(1);
  });

  test("adds plain to the methods asked for, and shows a table", async () => {
    const line = `bench --model toy --prompts ${prompts} --methods prompt-lookup --limit 2 --max-tokens 8`;
    const { code, stdout } = await runCli(line, { model });
    expect(code).toBe(0);
    expect(stdout).toMatch(
      /^category +method +prompts +tokens +MAT +tokens\/s +over plain +quartiles +outside +drafting +wasted\nx +/,
    );
    expect(stdout).toMatch(/\nall prompts +prompt-lookup +2 /);
    expect(stdout).not.toContain("token-recycling");
    expect(stdout).toContain("equal: every method");
  });

  test("a method that changes the text ends in exit code 1", async () => {
    const lossy = () => talkingToy({}, new LossyTarget(toy, 12));
    const line = `bench --model toy --prompts ${prompts} --budget 8 --max-tokens 24`;
    const { code, stdout } = await runCli(`${line} --json`, { model: lossy });
    expect(code).toBe(1);
    expect(lastJson(stdout)).toMatchObject({ equal: false, firstDivergence: { prompt: "one" } });
    expect((await runCli(line, { model: lossy })).stdout).toContain("NOT EQUAL");
  });

  test("ctrl-C leaves out the prompt it cut short", async () => {
    let ctrlC = () => {};
    let sessions = 0;
    const { code, stdout } = await runCli(`bench --model toy --prompts ${prompts} --max-tokens 8 --json`, {
      model: () => {
        const made = model();
        const createSession = made.createSession.bind(made);
        // One session to warm up, then one for each prompt and method: this is in the middle of the second prompt.
        made.createSession = (options) => {
          if (++sessions === methodNames().length + 3) ctrlC();
          return createSession(options);
        };
        return made;
      },
      terminal: true,
      watch: (_, press) => {
        ctrlC = press;
      },
    });
    expect(code).toBe(130);
    expect((lastJson(stdout).methods as ByMethod).plain).toMatchObject({ prompts: 1 });
  });

  test("asks for prompts, and refuses unknown methods", async () => {
    expect((await runCli("bench --model toy")).stderr).toContain("'--prompts <files>' not specified");
    expect((await runCli(`bench --model toy --prompts ${prompts} --methods plan`)).stderr).toContain(
      "the methods are",
    );
    expect((await runCli("bench motor --model toy")).code).toBe(1);
  });
});

describe("bench engine", () => {
  test("gives milliseconds by context and rows", async () => {
    const line = "bench engine --model toy --rows 1,2,4 --context 16,64 --rounds 2 --prefill 32 --threads 1";
    const { code, stdout, loads, alive } = await runCli(`${line} --json`, { model });
    expect(code).toBe(0);
    expect(alive).toBe(0);
    expect(loads).toMatchObject([{ name: "toy", threads: 1 }]);
    const json = lastJson(stdout);
    const pair = { "1": expect.any(Number), "2": expect.any(Number), "4": expect.any(Number) };
    expect(json.contexts).toEqual({ "16": pair, "64": pair });
    for (const name of ["prefillTokensPerSecond", "loadMs", "readyMs", "residentMb"]) {
      expect(json[name], name).toBeGreaterThan(0);
    }
    expect(json).toMatchObject({ isa: "none", threads: 1 });
    const table = await runCli(line, { model });
    expect(table.stdout).toMatch(
      /^context +rows +ms +quartiles +over the first\n +16 +1 +[\d.]+ +[\d.]+-[\d.]+ +1.00\n/,
    );
  });

  test("refuses rows and contexts that cannot be", async () => {
    expect((await runCli("bench engine --model toy --rows 0")).stderr).toContain(
      "--rows <list>' argument '0'",
    );
    expect((await runCli("bench engine --model toy --rows 1,1")).stderr).toContain("given twice");
    expect((await runCli("bench engine --model toy --rows 1000")).stderr).toContain("rows is 1000");
    expect((await runCli("bench engine --model toy --context 100000")).stderr).toContain(
      "contexts is 100000",
    );
  });

  test("ctrl-C ends it", async () => {
    let pressed = false;
    const { code, stdout, alive } = await runCli("bench engine --model toy --rounds 100000", {
      model,
      terminal: true,
      watch: (text, press) => {
        if (pressed || !text.includes("bench engine")) return;
        pressed = true;
        press();
      },
    });
    expect(code).toBe(130);
    expect(stdout).toBe("");
    expect(alive).toBe(0);
  });
});
