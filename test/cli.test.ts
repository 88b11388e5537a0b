/**
 * @file The command as users run it: the built program in a process of its own, on a small random model in a file. Tests
 * what the tests inside `src/cli/` cannot: exit codes, signals and pipes of a real process. Needs `npm run build`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text as readAll } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { byteVocabulary } from "./byte-vocabulary.ts";
import { type GgufValue, writeGguf } from "./gguf-writer.ts";
import { randomLlama } from "./native-model.ts";
import { lastJson } from "./run-cli.ts";

const COMMAND = join(import.meta.dirname, "../dist/cli/main.js");
const TEMPLATE =
  "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}<|im_start|>assistant\n";

let folder: string;
let model: string;
let prompts: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
  model = join(folder, "random.gguf");
  prompts = join(folder, "prompts.jsonl");
  const shape = {
    layers: 2,
    heads: 2,
    kvHeads: 1,
    vocabSize: VOCABULARY.tokens.length,
    metadata: tokenizer(),
  };
  await writeFile(model, writeGguf(randomLlama(shape, 1)));
  const rows = [
    { id: "one", category: "x", kind: "chat", turns: ["Hello, hello, hello!", "Again?"] },
    { id: "two", category: "y", kind: "completion", turns: ["abcabcabcabcabc"] },
  ];
  await writeFile(prompts, rows.map((row) => JSON.stringify(row)).join("\n"));
});
afterAll(() => rm(folder, { recursive: true }));

const VOCABULARY = byteVocabulary(["a b"]);

function tokenizer(): Record<string, GgufValue> {
  const { tokens, types, merges, bosToken, eosToken } = VOCABULARY;
  return {
    // Long enough that a text without a limit is still being written when a signal comes.
    "llama.context_length": { type: "u32", value: 32_768 },
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: "smollm" },
    "tokenizer.ggml.tokens": { type: "array", of: "string", value: tokens },
    "tokenizer.ggml.token_type": { type: "array", of: "i32", value: types },
    "tokenizer.ggml.merges": { type: "array", of: "string", value: merges },
    "tokenizer.ggml.bos_token_id": { type: "u32", value: bosToken! },
    "tokenizer.ggml.eos_token_id": { type: "u32", value: eosToken! },
    "tokenizer.chat_template": { type: "string", value: TEMPLATE },
  };
}

interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function espalier(args: readonly string[], use: (child: ChildProcess) => void = () => {}): Promise<Finished> {
  const child = spawn(process.execPath, [COMMAND, ...args], { stdio: "pipe" });
  const texts = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      texts[name] += text;
    });
  }
  use(child);
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, ...texts })));
}

describe("on the engine", () => {
  test("generate gives the same tokens with every method and number of threads", async () => {
    const line = ["generate", "--model", model, "--prompt", "abcabcabc", "-n", "40", "--json"];
    const plain = await espalier([...line, "--method", "plain", "--threads", "1"]);
    expect(plain.stderr).toBe("");
    expect(plain.code).toBe(0);
    const expected = lastJson(plain.stdout);
    expect(expected.promptTokens).toBe(6);
    for (const more of [
      ["--budget", "12"],
      ["--method", "token-recycling", "--threads", "2"],
    ]) {
      const { stdout } = await espalier([...line, ...more]);
      expect(lastJson(stdout)).toMatchObject({ tokens: expected.tokens, text: expected.text });
    }
  });

  test("verify and bench find all methods equal", async () => {
    const line = ["--model", model, "--prompts", prompts, "-n", "32", "--budget", "8", "--json"];
    const verified = await espalier(["verify", ...line, "--method", "all", "--temperature", "0.7"]);
    expect(verified.code, verified.stderr).toBe(0);
    expect(lastJson(verified.stdout)).toMatchObject({ prompts: 2, equal: true });
    const measured = await espalier(["bench", ...line]);
    expect(measured.code, measured.stderr).toBe(0);
    const json = lastJson(measured.stdout);
    expect(json).toMatchObject({ equal: true, machine: { isa: expect.stringMatching(/^(?!none)/) } });
    expect(Object.keys(json.categories as object)).toEqual(["x", "y"]);
  });

  test("bench engine reports what the engine is", async () => {
    const args = [
      "bench",
      "engine",
      "--model",
      model,
      "--rows",
      "1,4",
      "--context",
      "32",
      "--prefill",
      "64",
      "--json",
    ];
    const { code, stdout, stderr } = await espalier([...args, "--threads", "1", "--rounds", "2"]);
    expect(code, stderr).toBe(0);
    const json = lastJson(stdout);
    expect(json).toMatchObject({
      threads: 1,
      contexts: { "32": { "1": expect.any(Number), "4": expect.any(Number) } },
    });
    expect(json.isa).not.toBe("none");
  });

  test("chat answers what a pipe says", async () => {
    const { code, stdout, stderr } = await espalier(
      ["chat", "--model", model, "-n", "8", "--stats"],
      (child) => {
        child.stdin!.end("Hello\nAgain\n");
      },
    );
    expect(code, stderr).toBe(0);
    expect(stdout).not.toBe("");
    expect(stderr).toMatch(/\(\d+ cached\)/);
  });
});

describe("as a process", () => {
  test("a failure is one line on stderr and exit code 1", async () => {
    for (const args of [
      ["generate", "--model", join(folder, "nowhere.gguf"), "--prompt", "a"],
      ["generate", "--model", prompts, "--prompt", "a"],
      ["generate", "--model", model, "--prompt", "a", "--threads", "0"],
      ["generate", "--model", model, "--prompt", "a", "--context", "1000000"],
      ["generate", "--model", model, "--prompt", ""],
      ["generate", "--model", model, "--prompt", "c".repeat(40_000)],
    ]) {
      const { code, stdout, stderr } = await espalier(args);
      expect(code, stderr).toBe(1);
      expect(stdout).toBe("");
      expect(stderr).toMatch(/^error: [^\n]+\n$/);
    }
  });

  test("a reader that closes the pipe is no error", async () => {
    const { code, stderr } = await espalier(["generate", "--model", model, "--prompt", "abc"], (child) => {
      child.stdout!.once("data", () => child.stdout!.destroy());
    });
    expect(code, stderr).toBe(0);
    expect(stderr).not.toContain("EPIPE");
  });

  test.skipIf(process.platform !== "linux")("a full disk behind standard output is one line", async () => {
    const disk = openSync("/dev/full", "w");
    const child = spawn(
      process.execPath,
      [COMMAND, "generate", "--model", model, "--prompt", "abc", "-n", "100"],
      {
        stdio: ["ignore", disk, "pipe"],
      },
    );
    const [stderr, [code]] = await Promise.all([readAll(child.stderr!), once(child, "close")]);
    closeSync(disk);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot write standard output: ENOSPC[^\n]*\n$/);
  });

  test.skipIf(process.platform === "win32")("ctrl-C prints what there is and exits with 130", async () => {
    const line = ["generate", "--model", model, "--prompt", "abc", "--method", "plain"];
    const { code, stdout, stderr } = await espalier(line, (child) => {
      child.stdout!.once("data", () => child.kill("SIGINT"));
    });
    expect(code).toBe(130);
    expect(stdout.length).toBeGreaterThan(0);
    expect(stderr).toMatch(/\d+ tokens at/);
  });
});
