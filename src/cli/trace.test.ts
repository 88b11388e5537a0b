/** @file Tests of `espalier generate --trace` and `espalier trace`. */

import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lastJson, runCli, talkingToy } from "../../test/run-cli.ts";
import { someTrace, traceStep, withoutColors } from "../../test/trace.ts";
import { readTrace } from "./trace/file.ts";

let folder: string;
let file: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
  file = join(folder, "made.json");
  const [first] = someTrace().steps;
  const steps = [
    traceStep([-1]),
    { ...first!, position: 2 },
    traceStep([-1, 0], { position: 5, path: [0, 1] }),
  ];
  await writeFile(file, JSON.stringify(someTrace({ steps })));
});
afterAll(() => rm(folder, { recursive: true }));

const model = () => talkingToy({ order: 1, vocabSize: 12, longRange: 0, sharpness: 8 });
const GENERATE = "generate --model toy --prompt 123412341234 -n 40 --method recycle-lookup";

describe("generate --trace", () => {
  test("keeps the generation, which stays the same", async () => {
    const out = join(folder, "out.json");
    const { code, stdout, stderr } = await runCli(`${GENERATE} --trace ${out}`, { model });
    expect(code).toBe(0);
    expect(stdout).toBe((await runCli(GENERATE, { model })).stdout);
    expect(stderr).toContain(`espalier trace ${out} shows its steps`);
    const trace = await readTrace(out);
    expect(`${trace.text}\n`).toBe(stdout);
    expect(trace.prompt.text).toBe("123412341234");
    const shown = await runCli(`trace ${out}`);
    expect(shown.code).toBe(0);
    expect(shown.stdout).toContain(`${trace.steps.length} steps (0 plain, 0 trials)`);
    expect((await readdir(folder)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });

  test("ctrl-C keeps what there is", async () => {
    const out = join(folder, "cut.json");
    let pressed = false;
    const watch = (text: string, press: () => void) => {
      if (pressed || text === "") return;
      pressed = true;
      press();
    };
    const long = `generate --model toy --prompt ABC -n 400 --method plain --trace ${out}`;
    const { code, exits } = await runCli(long, { watch });
    expect([code, exits]).toEqual([130, []]);
    const trace = await readTrace(out);
    expect(trace.stopReason).toBe("aborted");
    expect(trace.steps.length).toBeGreaterThan(0);
    expect(trace.steps.length).toBeLessThan(400);
    expect((await runCli(`trace ${out}`)).code).toBe(0);
  });

  test("a place that cannot be written is refused before the model is loaded", async () => {
    const { code, stdout, stderr, loads } = await runCli(
      `${GENERATE} --trace ${join(folder, "none", "x.json")}`,
    );
    expect([code, stdout, loads]).toEqual([1, "", []]);
    expect(stderr).toContain("there is no folder");
  });

  test("a generation that fails leaves the trace that was there", async () => {
    const out = join(folder, "kept.json");
    await writeFile(out, "before");
    const { code } = await runCli(`${GENERATE} --budget 1000 --trace ${out}`, { model });
    expect([code, await readFile(out, "utf8")]).toEqual([1, "before"]);
  });
});

describe("trace", () => {
  test("figures, then the tree of the step that gave the most", async () => {
    const { code, stdout, stderr } = await runCli(`trace ${file}`);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout.indexOf("3 steps (0 plain, 0 trials)")).toBeLessThan(
      stdout.indexOf("step 2 of 3: 3 tokens"),
    );
    expect(stdout).toContain("● ␣t11");
    expect(stdout).not.toContain("\x1b");
    for (const line of stdout.split("\n")) expect(line.length).toBeLessThanOrEqual(100);
  });

  test("one step, some, the best, or figures alone", async () => {
    const steps = async (more: string) =>
      [...(await runCli(`trace ${file} ${more}`)).stdout.matchAll(/^step (\d)/gm)].map(([, n]) => n);
    expect(await steps("--step 3")).toEqual(["3"]);
    expect(await steps("--steps 1-3")).toEqual(["1", "2", "3"]);
    expect(await steps("--best")).toEqual(["2"]);
    expect(await steps("--summary")).toEqual([]);
    expect((await runCli(`trace ${file} --step 3`)).stdout).not.toContain("ms a step");
    expect((await runCli(`trace ${file} --summary`)).stdout).toContain("ms a step");
  });

  test("colours on a terminal, by --color, never with --no-color or NO_COLOR", async () => {
    const bare = (await runCli(`trace ${file}`)).stdout;
    const color = async (more: string, options = {}) =>
      (await runCli(`trace ${file} ${more}`.trim(), options)).stdout;
    for (const painted of [await color("", { terminal: true }), await color("--color")]) {
      expect(painted).toContain("\x1b[32m");
      expect(stripVTControlCharacters(painted)).toBe(bare);
    }
    const env = { NO_COLOR: "1" };
    expect(await color("--no-color", { terminal: true })).toBe(bare);
    expect(await color("", { terminal: true, env })).toBe(bare);
    expect(await color("--color", { env })).toBe(bare);
  });

  test("--json: the figures", async () => {
    const { stdout } = await runCli(`trace ${file} --json`);
    expect(lastJson(stdout)).toMatchObject({ steps: 3, method: "rasd", stepsByTokens: [0, 1, 1, 1] });
  });

  test("--svg draws the best step or the one asked for", async () => {
    const svg = join(folder, "tree.svg");
    const { code, stdout, stderr } = await runCli(`trace ${file} --svg ${svg}`);
    expect([code, stdout]).toEqual([0, ""]);
    expect(stderr).toBe(`step 2 drawn into ${svg}\n`);
    expect(await readFile(svg, "utf8")).toMatch(/^<svg .*<title>step 2 of 3/s);
    await runCli(`trace ${file} --svg ${svg} --step 1`);
    expect(await readFile(svg, "utf8")).toContain("<title>step 1 of 3");
  });

  test("a trace without steps", async () => {
    const none = join(folder, "none.json");
    await writeFile(none, JSON.stringify({ ...someTrace(), steps: [] }));
    expect((await runCli(`trace ${none}`)).stdout).toContain("0 steps");
    for (const more of ["--best", "--step 1", `--svg ${join(folder, "x.svg")}`]) {
      const { code, stderr } = await runCli(`trace ${none} ${more}`);
      expect(code).toBe(1);
      expect(stderr).toMatch(/^error: .*(no steps|0 steps)/);
    }
  });

  test.each([
    ["--step 0", "at least 1"],
    ["--step 4", "--step 4: the trace has 3 steps"],
    ["--step 9007199254740991", "the trace has 3 steps"],
    ["--step 99999999999999999999", "a whole number"],
    ["--steps 2-9", "--steps 2-9: the trace has 3 steps"],
    ["--steps 3-2", "two numbers of steps"],
    ["--steps 0-2", "two numbers of steps"],
    ["--steps 3", "two numbers of steps"],
    ["--step 1 --best", "cannot be used with"],
    ["--summary --steps 1-2", "cannot be used with"],
    ["--json --step 1", "cannot be used with"],
    ["--svg x.svg --steps 1-2", "cannot be used with"],
    ["more", "too many arguments"],
  ])("is refused: %s", async (more, message) => {
    const { code, stdout, stderr } = await runCli(`trace ${file} ${more}`);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toContain(message);
  });

  test("hostile files end in one line, and no escape of theirs comes through", async () => {
    const hostile = join(folder, "hostile.json");
    const evil = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\n";
    const cases: [string, RegExp][] = [
      ["{", /not JSON/],
      [`\x1b[2J${evil}`, /not JSON/],
      [JSON.stringify({ ...someTrace(), format: evil }), /format: /],
      [JSON.stringify({ ...someTrace(), steps: [{ ...traceStep([-1, 5]) }] }), /steps\[0\]\.parents\[1\]/],
    ];
    for (const [text, message] of cases) {
      await writeFile(hostile, text);
      const { code, stdout, stderr } = await runCli(`trace ${hostile}`);
      expect([code, stdout]).toEqual([1, ""]);
      expect(stderr).toMatch(message);
      expect(stderr.trimEnd()).not.toMatch(/[\p{Cc}\p{Cf}]/u);
    }
    const texts = Object.fromEntries(Array.from({ length: 40 }, (_, token) => [token, evil]));
    const named = { model: evil, method: evil, drafters: [evil, evil], stopReason: evil };
    const step = { ...someTrace().steps[0]!, off: evil };
    await writeFile(hostile, JSON.stringify({ ...someTrace({ steps: [step] }, texts), ...named }));
    for (const more of ["", "--color"]) {
      const { code, stdout } = await runCli(`trace ${hostile} ${more}`.trim());
      expect(code).toBe(0);
      const bare = more === "" ? stdout : withoutColors(stdout);
      expect(bare.replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      expect(bare).toContain("\\u{1b}");
    }
  });
});
