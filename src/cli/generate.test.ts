/** @file Tests of `espalier generate`: what it prints, what it refuses, and how ctrl-C ends it. */

import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { lastJson, runCli, talkingToy } from "../../test/run-cli.ts";
import { collect, toyModel } from "../../test/toy-model.ts";
import type { LoadOptions } from "../engine/load.ts";
import { ToyTarget } from "../target/toy.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
});
afterAll(() => rm(folder, { recursive: true }));

const BASE = "generate --model toy --prompt ABC --max-tokens 20";

describe("what it prints", () => {
  test("text on stdout, figures on stderr, and nothing left open", async () => {
    const { code, stdout, stderr, alive } = await runCli(BASE);
    const { text } = await collect(talkingToy().generate({ prompt: "ABC", maxTokens: 20 }));
    expect(code).toBe(0);
    expect(stdout).toBe(`${text}\n`);
    expect(stderr).toMatch(/20 tokens at [\d.]+ a second · \d+ passes, [\d.]+ tokens each · prompt of 3/);
    expect(alive).toBe(0);
  });

  test("with --json one object with exactly the promised fields", async () => {
    const { code, stdout } = await runCli(`${BASE} --json --method plain`);
    expect(code).toBe(0);
    expect(stdout.split("\n")).toHaveLength(2);
    const json = lastJson(stdout);
    expect(Object.keys(json).sort()).toEqual(
      [
        "mat",
        "method",
        "passes",
        "prefillMs",
        "promptTokens",
        "stopReason",
        "text",
        "tokens",
        "tokensPerSecond",
      ].sort(),
    );
    expect(json).toMatchObject({
      method: "plain",
      promptTokens: 3,
      passes: 20,
      mat: 1,
      stopReason: "max-tokens",
    });
    expect(json.tokens).toHaveLength(20);
  });

  test("every sampling option reaches the request", async () => {
    const options = "--temperature 1.2 --top-k 9 --top-p 0.9 --min-p 0.01 --seed 5 --repetition-penalty 1.3";
    const more = "--frequency-penalty 0.2 --presence-penalty 0.4 --budget 5 --method token-recycling";
    const { stdout } = await runCli(`${BASE} ${options} ${more} --json`);
    const { tokens } = await collect(
      talkingToy().generate({
        prompt: "ABC",
        maxTokens: 20,
        temperature: 1.2,
        topK: 9,
        topP: 0.9,
        minP: 0.01,
        seed: 5,
        repetitionPenalty: 1.3,
        frequencyPenalty: 0.2,
        presencePenalty: 0.4,
      }),
    );
    expect(lastJson(stdout).tokens).toEqual(tokens);
    expect(lastJson(stdout).method).toBe("token-recycling");
    const other = await runCli(`${BASE} ${options.replace("--seed 5", "--seed 6")} ${more} --json`);
    expect(lastJson(other.stdout).tokens).not.toEqual(tokens);
  });

  test("--stop may be given twice; the first one found ends the text", async () => {
    const { text } = await collect(talkingToy().generate({ prompt: "ABC", maxTokens: 20 }));
    const stop = text.slice(5, 7);
    const { stdout } = await runCli([...BASE.split(" "), "--stop", "~", "--stop", stop, "--json"]);
    expect(lastJson(stdout)).toMatchObject({
      stopReason: "stop-string",
      text: text.slice(0, text.indexOf(stop)),
    });
  });

  test("messages go through the chat template, - reads standard input", async () => {
    const file = join(folder, "messages.json");
    await writeFile(file, JSON.stringify([{ role: "user", content: "ABC" }]));
    const chat = await runCli(`generate --model toy --messages ${file} -n 5 --json`);
    expect(lastJson(chat.stdout)).toMatchObject({ promptTokens: 4 });
    const raw = await runCli("generate --model toy --prompt - -n 5 --json", { stdin: ["AB"] });
    // The line break is a token of its own for the toy, outside its vocabulary.
    expect(raw.code).toBe(1);
    expect(raw.stderr).toContain("not in the vocabulary");
  });

  test("--color paints what drafters had guessed and ends with a legend; NO_COLOR keeps the legend", async () => {
    const model = () => talkingToy({ order: 1, vocabSize: 12, longRange: 0, sharpness: 8 });
    const line = "generate --model toy --prompt 123412341234 -n 40 --color";
    const painted = await runCli(line, { model });
    expect(painted.stdout).toContain("\x1b[32m");
    expect(stripVTControlCharacters(painted.stderr)).toMatch(/[a-z]+ \d+ .*target \d+/);
    expect(painted.stderr).toContain("\x1b[32m");
    const bare = await runCli(line, { model, env: { NO_COLOR: "1" } });
    expect(bare.stdout).not.toContain("\x1b");
    expect(bare.stderr).toMatch(/[a-z]+ \d+ .*target \d+/);
    expect(stripVTControlCharacters(painted.stdout)).toBe(bare.stdout);
  });

  test("--threads, --context, --draft-model, --head, --exit and --ldlp reach the load", async () => {
    const { loads } = await runCli(
      `${BASE} --threads 2 --context 64 --draft-model small --head a.gguf --exit c.gguf --ldlp b.gguf`,
    );
    expect(loads).toMatchObject([
      {
        ...{ name: "toy", threads: 2, contextLength: 64, draftModel: "small" },
        ...{ head: "a.gguf", exit: "c.gguf", ldlp: "b.gguf" },
      },
    ]);
  });

  test("with a draft model the figures say how much of the time it took", async () => {
    const model = () => talkingToy({}, undefined, { draftModel: new ToyTarget() });
    const { stderr } = await runCli(BASE, { model });
    expect(stderr).toMatch(/auto, \d+ % of the time drafting/);
    expect((await runCli(`${BASE} --method plain`, { model })).stderr).toMatch(/· plain\n$/);
  });
});

describe("what a method learnt", () => {
  test("--state is written at the end, read at the next start, and refused where nothing is learnt", async () => {
    const file = join(folder, "state");
    const line = `${BASE} --method token-recycling --state ${file} --json`;
    const model = () => talkingToy({ order: 1, longRange: 0 });
    const cold = lastJson((await runCli(line, { model })).stdout);
    const warm = lastJson((await runCli(line, { model })).stdout);
    expect(warm.tokens).toEqual(cold.tokens);
    expect(warm.passes).toBeLessThan(cold.passes as number);
    const plain = await runCli(`${BASE} --method plain --state ${file}`);
    expect(plain.code).toBe(1);
    expect(plain.stderr).toContain("plain keeps no state");
  });

  test("without --state the model is loaded warm, unless --no-warm-start is given; warnings go to stderr", async () => {
    const warmOf = async (line: string) => (await runCli(line, { stdin: ["/exit"] })).loads[0]!.warmStart;
    for (const command of [BASE, "chat -m toy"]) {
      expect(await warmOf(command)).toBe(true);
      expect(await warmOf(`${command} --no-warm-start`)).toBeUndefined();
      expect(await warmOf(`${command} --state ${join(folder, command.slice(0, 4))}`)).toBeUndefined();
    }
    const model = ({ onWarning }: LoadOptions) => {
      onWarning!("something is wrong");
      return talkingToy();
    };
    expect((await runCli(BASE, { model })).stderr).toMatch(/^warning: something is wrong\n/);
  });
});

describe("what it refuses", () => {
  test.each([
    ["--max-tokens 0", "--max-tokens <n>' argument '0' is invalid. It must be a whole number of at least 1."],
    ["--max-tokens ten", "argument 'ten'"],
    ["--temperature NaN", "argument 'NaN'"],
    ["--temperature -1", "from 0 to 100"],
    ["--seed 1.5", "argument '1.5'"],
    ["--seed 4294967296", "from 0 to 4294967295"],
    ["--method magic", "the methods are plain, "],
    ["--messages x.json", "cannot be used with"],
    ["--frobnicate", "unknown option '--frobnicate'"],
    ["--tempratur 1", "Did you mean --temperature?"],
    ["--color --json", "cannot be used with"],
    ["more", "too many arguments"],
    ["--top-p 0", "topP is 0"],
    ["--budget 1000", "budget is 1000"],
  ])("%s", async (more, message) => {
    const { code, stdout, stderr, alive } = await runCli(`${BASE} ${more}`);
    expect(code).toBe(1);
    expect(stdout).toBe("");
    expect(stderr).toContain(message);
    expect(stderr).toMatch(/^error: /);
    expect(stderr).not.toContain("    at ");
    expect(alive).toBe(0);
  });

  test("nothing to continue, missing and wrong message files", async () => {
    expect((await runCli("generate --model toy")).stderr).toContain("--prompt <text> or --messages <file>");
    const missing = await runCli("generate --model toy --messages nowhere.json");
    expect(missing.stderr).toContain("nowhere.json");
    for (const [text, message] of [
      ["{", "is not JSON"],
      ["[]", "not a list of messages"],
      ['[{"role":"king","content":"A"}]', "not a list of messages"],
    ] as const) {
      const file = join(folder, "wrong.json");
      await writeFile(file, text);
      const { code, stderr } = await runCli(`generate --model toy --messages ${file}`);
      expect(code).toBe(1);
      expect(stderr).toContain(message);
    }
  });

  test("a prompt longer than the context, by how much; --debug adds the stack", async () => {
    const model = () => talkingToy({ contextLength: 2 });
    const { code, stderr } = await runCli(BASE, { model });
    expect(code).toBe(1);
    expect(stderr).toMatch(/shorten it by 2\n$/);
    expect((await runCli(`${BASE} --debug`, { model })).stderr).toContain("    at ");
  });

  test("messages without a chat template", async () => {
    const file = join(folder, "hello.json");
    await writeFile(file, JSON.stringify([{ role: "user", content: "A" }]));
    const { code, stderr } = await runCli(`generate --model toy --messages ${file}`, {
      model: () => toyModel(),
    });
    expect(code).toBe(1);
    expect(stderr).toContain("no chat template");
  });
});

describe("ctrl-C", () => {
  test("ends the text, prints what there is, and the exit code says so", async () => {
    let pressed = false;
    const watch = (text: string, press: () => void) => {
      if (pressed || text === "") return;
      pressed = true;
      press();
    };
    const long = "generate --model toy --prompt ABC --max-tokens 400 --method plain";
    const { code, stdout, stderr, exits, alive } = await runCli(long, { watch });
    expect(code).toBe(130);
    expect(stdout.length).toBeGreaterThan(0);
    expect(stdout.length).toBeLessThan(400);
    expect(stderr).toMatch(/tokens at/);
    expect(exits).toEqual([]);
    expect(alive).toBe(0);
  });

  test("twice ends the program", async () => {
    const { exits } = await runCli("generate --model toy --prompt ABC -n 400 --method plain", {
      watch: (_text, press) => {
        press();
        press();
      },
    });
    expect(exits[0]).toBe(130);
  });
});
