/** @file Tests of `espalier info`. */

import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { writeGguf } from "../../test/gguf-writer.ts";
import { speakingLlama } from "../../test/native-model.ts";
import { lastJson, runCli } from "../../test/run-cli.ts";
import { tinyLlama } from "../../test/tiny-llama.ts";
import { collect } from "../../test/toy-model.ts";
import { openGguf } from "../checkpoint/gguf.ts";
import { readTokenizerSpec } from "../checkpoint/tokenizer-spec.ts";
import { readCosts, writeCosts } from "../engine/kept-costs.ts";
import { loadModel } from "../engine/load.ts";
import { fingerprint } from "../text/fingerprint.ts";
import type { KnownCosts } from "./known-costs.ts";

async function fingerprintOf(model: string): Promise<string> {
  await using gguf = await openGguf(model);
  return fingerprint(readTokenizerSpec(gguf).tokens);
}

let folder: string;
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-cli-"));
  path = join(folder, "tiny.gguf");
  const metadata = {
    "general.name": { type: "string", value: "Tiny" },
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: "smollm" },
    "tokenizer.chat_template": { type: "string", value: "{{ messages }}" },
  } as const;
  await writeFile(path, writeGguf(tinyLlama({ metadata })));
});
afterAll(() => rm(folder, { recursive: true }));

describe("info", () => {
  test("--json tells what the file holds", async () => {
    const { code, stdout, loads } = await runCli(["info", path, "--json"]);
    expect(code).toBe(0);
    expect(loads).toEqual([]);
    const json = lastJson(stdout);
    expect(json).toMatchObject({
      path,
      name: "Tiny",
      architecture: "llama",
      layers: 2,
      hiddenSize: 64,
      feedForwardSize: 96,
      heads: 4,
      kvHeads: 2,
      contextLength: 512,
      engine: { headSize: 16, tiedHead: true, rope: { base: 10_000 }, window: null, layersWithWindow: 0 },
      problem: null,
      tokenizer: { model: "gpt2", pre: "smollm" },
      chatTemplate: true,
    });
    // 40 embeddings, and in each of 2 layers 64 + 32 + 32 + 64 rows of attention and three matrices of 64 x 96; norms apart.
    const matrices = 64 * 40 + 2 * (64 * (64 + 32 + 32 + 64) + 3 * 64 * 96);
    const norms = 64 * 5;
    expect(json.parameters).toBe(matrices + norms);
    expect(json.weights).toEqual({
      Q4_1: { tensors: 15, bytes: (matrices / 32) * 20 },
      F32: { tensors: 5, bytes: norms * 4 },
    });
  });

  test("shows it as text", async () => {
    const { stdout } = await runCli(["info", path]);
    expect(stdout).toMatch(/^name +Tiny\narchitecture +llama\nparameters +0\.1 million\n/);
    expect(stdout).toMatch(/\nweights +tensors +bytes\nQ4_1 +15 /);
  });

  test("tells what the engine makes of it, or why it does not run", async () => {
    const metadata = {
      "llama.attention.sliding_window": { type: "u32", value: 100 },
      "llama.rope.scaling.type": { type: "string", value: "linear" },
      "llama.rope.scaling.factor": { type: "f32", value: 4 },
    } as const;
    const stretched = join(folder, "stretched.gguf");
    await writeFile(stretched, writeGguf(tinyLlama({ metadata })));
    const { stdout } = await runCli(["info", stretched]);
    expect(stdout).toMatch(/\nrotation +normal, base 10000, linear 4\nwindow +100 tokens, in 2 layers\n/);
    expect(stdout).toMatch(/\nruns here +yes\n/);
    const foreign = join(folder, "foreign.gguf");
    await writeFile(
      foreign,
      writeGguf(tinyLlama({ metadata: { "general.architecture": { type: "string", value: "rwkv7" } } })),
    );
    expect((await runCli(["info", foreign])).stdout).toMatch(
      /\nruns here +no: .*"rwkv7" is not supported; supported: llama, qwen2/,
    );
  });

  test("tells where what is learnt of it is kept", async () => {
    const speaking = join(folder, "speaking.gguf");
    await writeFile(speaking, writeGguf(speakingLlama()));
    const env = { ESPALIER_CACHE: join(folder, "cache") };
    const infoOf = async (file: string) => lastJson((await runCli(["info", file, "--json"], { env })).stdout);
    expect(await infoOf(path)).toMatchObject({ learnt: null });
    const { learnt } = (await infoOf(speaking)) as { learnt: { path: string; bytes: number | null } };
    expect(learnt.bytes).toBe(null);
    expect((await runCli(["info", speaking], { env })).stdout).toMatch(
      /\nlearnt of it +nothing so far; kept in /,
    );
    vi.stubEnv("ESPALIER_CACHE", env.ESPALIER_CACHE);
    vi.stubEnv("ESPALIER_WARM_START", "1");
    {
      await using model = await loadModel(speaking, { threads: 1, passTimes: false, warmStart: true });
      await collect(model.generate({ prompt: "ab", maxTokens: 4, method: "recycle-lookup" }));
    }
    vi.unstubAllEnvs();
    expect(await infoOf(speaking)).toMatchObject({
      learnt: { path: learnt.path, bytes: (await stat(learnt.path)).size },
    });
  });

  test("tells what it takes here, once that was measured", async () => {
    const model = join(folder, "costly.gguf");
    await writeFile(model, writeGguf(speakingLlama()));
    const env = { ESPALIER_CACHE: join(folder, "costs") };
    const info = async (...options: string[]) => (await runCli(["info", model, ...options], { env })).stdout;
    expect(lastJson(await info("--json"))).toMatchObject({ costs: null });
    expect(await info()).toMatch(/\ntakes here +not measured so far\n/);
    vi.stubEnv("ESPALIER_CACHE", env.ESPALIER_CACHE);
    vi.stubEnv("ESPALIER_WARM_START", "1");
    await (await loadModel(model, { warmStart: true }))[Symbol.asyncDispose]();
    vi.unstubAllEnvs();
    const { costs } = lastJson(await info("--json")) as { costs: KnownCosts };
    expect(costs.questions).toBeNull();
    expect(costs.measured.slice(0, 4)).toBe(String(new Date().getUTCFullYear()));
    const { passes, measured } = await readCosts(costs.path, await fingerprintOf(model));
    expect(costs.passes).toEqual(passes);
    expect(costs.long.tokens).toBe(512);
    expect(costs.long.ms).toEqual(passes.map(({ ms, perToken = 0 }) => ms + 512 * perToken));
    const fourth = { rows: 4, ms: 3, perToken: 0.01 };
    await writeCosts(costs.path, await fingerprintOf(model), {
      passes: [{ rows: 1, ms: 2, perToken: 0.002 }, fourth],
      questions: { first: 0.123, next: 0.456 },
      measured,
    });
    const shown = await info();
    expect(shown).toMatch(
      /\npasses here, ms +1 row +4 rows\non a short text +2\.00 +3\.00\nbehind 512 tokens +3\.02 +8\.12\n/,
    );
    expect(shown).toMatch(
      /\nquestions to what drafts: 0\.12 ms the first of a step, 0\.46 ms another; measured on 2\d/,
    );
  });

  test("says what a file does not say", async () => {
    const bare = join(folder, "bare.gguf");
    await writeFile(bare, writeGguf({ metadata: [], tensors: [] }));
    const { stdout } = await runCli(["info", bare, "--json"]);
    expect(lastJson(stdout)).toMatchObject({
      architecture: null,
      tokenizer: null,
      chatTemplate: false,
      weights: {},
    });
    expect((await runCli(["info", bare])).stdout).toMatch(/tokenizer +missing/);
  });

  test("refuses what is not there or not GGUF, in one line", async () => {
    const missing = await runCli("info nowhere.gguf");
    expect(missing.code).toBe(1);
    expect(missing.stderr).toMatch(/^error: .*nowhere.gguf.*\n$/);
    const wrong = join(folder, "wrong.gguf");
    await writeFile(wrong, "hello");
    expect((await runCli(["info", wrong])).stderr).toMatch(/^error: .*is not a GGUF file.*\n$/);
  });
});
