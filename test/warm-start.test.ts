/** @file What a model has learnt comes back when it is loaded again, and whatever is in its place in the cache folder does no harm. */

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { readCosts, writeCosts } from "../src/engine/kept-costs.ts";
import { type LoadOptions, loadModel } from "../src/engine/load.ts";
import { stateFolder } from "../src/engine/state-folder.ts";
import type { GenerateRequest } from "../src/session/api.ts";
import { readState, writeState } from "../src/session/state-file.ts";
import { writeGguf } from "./gguf-writer.ts";
import { speakingLlama } from "./native-model.ts";
import { collect } from "./toy-model.ts";

const COMMAND = join(import.meta.dirname, "../dist/cli/main.js");
const REQUEST: GenerateRequest = { prompt: "abab", maxTokens: 40, method: "token-recycling", budget: 8 };
const run = promisify(execFile);

let folder: string;
let path: string;
let fingerprint: string;
let warnings: string[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-warm-"));
  path = join(folder, "model.gguf");
  await writeFile(path, writeGguf(speakingLlama()));
  await using model = await loadModel(path, { threads: 1, passTimes: false });
  fingerprint = model.parts.tokenizer.fingerprint;
});
afterAll(() => rm(folder, { recursive: true }));

beforeEach(() => {
  vi.stubEnv("ESPALIER_CACHE", join(folder, "cache"));
  vi.stubEnv("ESPALIER_WARM_START", "1");
  warnings = [];
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(join(folder, "cache"), { recursive: true, force: true });
});

/** Loads the model, writes a text, and frees it. */
async function use(request: Partial<GenerateRequest> = {}, options: LoadOptions = { warmStart: true }) {
  await using model = await loadModel(path, {
    threads: 1,
    passTimes: false,
    onWarning: (message) => warnings.push(message),
    ...options,
  });
  const { tokens, end } = await collect(model.generate({ ...REQUEST, ...request }));
  return { tokens, passes: end.stats.passes };
}

const files = () => readdir(stateFolder()).catch(() => undefined);
const costsFile = async () => join(stateFolder(), (await files())!.find((name) => name.endsWith(".costs"))!);
const learntFile = async () =>
  join(stateFolder(), (await files())!.find((name) => name.endsWith(".learnt"))!);

it("makes the next start as good as going on, and never changes a text", async () => {
  for (const sampling of [{}, { temperature: 1.2, seed: 5 }]) {
    const cold = await use(sampling, {});
    const plain = await use({ ...sampling, method: "plain" }, {});
    await use(sampling);
    const warm = await use(sampling);
    expect([cold.tokens, warm.tokens]).toEqual([plain.tokens, plain.tokens]);
    expect(warm.passes).toBeLessThan(cold.passes);
  }
  expect(warnings).toEqual([]);
});

it("is for who asks for it, and for nobody whose user does not want it", async () => {
  await use({}, {});
  vi.stubEnv("ESPALIER_WARM_START", "0");
  await use();
  expect(await files()).toBeUndefined();
});

it("keeps what each of the methods learns, those of earlier starts too", async () => {
  await use({ method: "recycle-lookup" });
  await use({ method: "retrieval" });
  await use({ method: "plain" });
  const kept = await readState(await learntFile(), fingerprint);
  expect([...kept.keys()].sort()).toEqual(["recycle.matrix", "recycle.odds-by-origin", "retrieval.odds"]);
  expect(warnings).toEqual([]);
});

describe("what cannot be used", () => {
  const cases: [string, (file: string) => Promise<unknown>, RegExp][] = [
    ["a damaged file", async (file) => flip(file, 100), /is not used: .*its checksum is wrong/],
    [
      "half a file",
      async (file) => writeFile(file, (await readFile(file)).subarray(0, 99)),
      /its checksum is wrong/,
    ],
    ["another program's file", (file) => writeFile(file, "Dear Sir"), /it starts with other bytes/],
    ["an older version's file", (file) => flip(file, 4), /this program reads/],
    [
      "another vocabulary's file",
      (file) => writeState(file, "00".repeat(32), new Map()),
      /another vocabulary/,
    ],
    [
      "tokens of no vocabulary",
      async (file) => {
        const kept = await readState(file, fingerprint);
        kept.get("recycle.matrix")![17] = 1 << 30;
        await writeState(file, fingerprint, kept);
      },
      /a recycle\.matrix that cannot be/,
    ],
  ];

  it.each(cases)("%s is ignored with one warning that names it, and replaced", async (_, spoil, message) => {
    const cold = await use();
    const file = await learntFile();
    await spoil(file);
    expect(await use()).toEqual(cold);
    expect(warnings).toEqual([expect.stringMatching(message)]);
    expect(warnings[0]).toContain(file);
    expect(warnings[0]).not.toContain("\n");
    const warm = await use();
    expect(warnings).toHaveLength(1);
    expect(warm.passes).toBeLessThan(cold.passes);
    expect(await files()).toHaveLength(1);
  });

  it("a folder in its place, or in place of all, is told of and no reason to fail", async () => {
    const cold = await use();
    const file = await learntFile();
    await rm(file);
    await mkdir(file);
    expect(await use()).toEqual(cold);
    expect(warnings).toEqual([
      expect.stringMatching(/is not used: .* cannot be read: it is not a regular file/),
      expect.stringMatching(/what was learnt is not kept: .*ESPALIER_WARM_START=0/),
    ]);
    warnings = [];
    vi.stubEnv("ESPALIER_CACHE", path);
    expect(await use()).toEqual(cold);
    expect(warnings).toHaveLength(2);
  });

  async function flip(file: string, at: number): Promise<void> {
    const bytes = await readFile(file);
    bytes[at]! ^= 1;
    await writeFile(file, bytes);
  }
});

describe("times of passes", () => {
  const TIMES = {
    passes: [1, 2, 8].map((rows) => ({ rows, ms: 1000 + rows, perToken: rows / 8 })),
    questions: undefined,
    measured: Date.now(),
  };
  const timesOf = async (options: LoadOptions = {}) => {
    await using model = await loadModel(path, {
      threads: 1,
      warmStart: true,
      onWarning: (message) => warnings.push(message),
      ...options,
    });
    return model.parts.passTimes;
  };

  it("are kept for the next start, as passes have corrected them", async () => {
    const measured = await timesOf();
    expect(measured!.length).toBeGreaterThan(1);
    expect(await timesOf()).toEqual((await readCosts(await costsFile(), fingerprint)).passes);
    await writeCosts(await costsFile(), fingerprint, TIMES);
    expect(await timesOf()).toEqual(TIMES.passes);
    {
      await using model = await loadModel(path, { threads: 1, warmStart: true });
      await collect(model.generate({ prompt: "abab", maxTokens: 40, method: "recycle-lookup" }));
    }
    const { passes, measured: when } = await readCosts(await costsFile(), fingerprint);
    expect(passes.map(({ rows }) => rows)).toEqual([1, 2, 8]);
    expect(passes[0]!.ms).toBeLessThan(1000);
    expect(when).toBe(TIMES.measured);
    expect(warnings).toEqual([]);
  });

  it("are measured anew for other settings, and after a week", async () => {
    await timesOf();
    const file = await costsFile();
    await writeCosts(file, fingerprint, TIMES);
    for (const options of [
      { threads: 2 },
      { cacheType: "f32" },
      { weights: "q4" },
      { warmStart: false },
    ] as const)
      expect(await timesOf(options)).not.toEqual(TIMES.passes);
    for (const days of [8, -1]) {
      await writeCosts(file, fingerprint, { ...TIMES, measured: Date.now() - days * 86_400_000 });
      expect(await timesOf()).not.toEqual(TIMES.passes);
      expect((await readCosts(file, fingerprint)).measured).toBeGreaterThan(TIMES.measured - 1000);
    }
    expect(warnings).toEqual([]);
  });

  it("of what drafts are kept with them, until something else drafts", async () => {
    const costsOf = async (options: LoadOptions = {}) => {
      await using model = await loadModel(path, { threads: 1, warmStart: true, ...options });
      return model.parts.questionCosts;
    };
    expect(await costsOf()).toBeUndefined();
    const draftModel = join(folder, "draft.gguf");
    await writeFile(draftModel, writeGguf(speakingLlama({}, 2)));
    const measured = await costsOf({ draftModel });
    expect(measured!.first).toBeGreaterThan(0);
    expect(measured!.next).toBeGreaterThan(0);
    const [file, ...others] = (await files())!.filter((name) => name.endsWith(".costs"));
    expect(others).toHaveLength(1);
    const both = [file!, others[0]!].map((name) => join(stateFolder(), name));
    const questions = { first: 123, next: 45 };
    for (const each of both) {
      const kept = await readCosts(each, fingerprint);
      if (kept.questions) expect(await costsOf({ draftModel })).toEqual(kept.questions);
      if (kept.questions) await writeCosts(each, fingerprint, { ...kept, questions });
    }
    expect(await costsOf({ draftModel })).toEqual(questions);
    await writeFile(draftModel, writeGguf(speakingLlama({ layers: 2 }, 2)));
    expect(await costsOf({ draftModel })).not.toEqual(questions);
  });

  it("that somebody gives are not kept", async () => {
    expect(await timesOf({ passTimes: TIMES.passes })).toEqual(TIMES.passes);
    await timesOf({ passTimes: false });
    expect((await files()) ?? []).toEqual([]);
  });

  it.each([
    [
      "no rows",
      {
        "pass.rows": new Int32Array(0),
        "pass.ms": new Float64Array(0),
        "pass.per-token": new Float64Array(0),
      },
    ],
    ["too many rows", { "pass.rows": Int32Array.of(1, 2 ** 31 - 1) }],
    ["rows that fall", { "pass.rows": Int32Array.of(1, 1) }],
    ["no time", { "pass.ms": Float64Array.of(0, 1) }],
    ["endless time", { "pass.ms": Float64Array.of(1, Number.POSITIVE_INFINITY) }],
    ["more times than rows", { "pass.ms": Float64Array.of(1, 2, 3) }],
    ["tokens that give time back", { "pass.per-token": Float64Array.of(0, -0.1) }],
    ["tokens of no number", { "pass.per-token": Float64Array.of(0, Number.NaN) }],
    ["tokens that take for ever", { "pass.per-token": Float64Array.of(0, Number.POSITIVE_INFINITY) }],
    ["tokens of more rows than there are", { "pass.per-token": Float64Array.of(0, 0, 0) }],
    ["numbers of another kind", { "pass.rows": Float64Array.of(1, 2) }],
    ["no date", { "pass.measured": new Float64Array(0) }],
    ["questions that take no time", { "draft.questions": Float64Array.of(0, 1) }],
    ["questions that take for ever", { "draft.questions": Float64Array.of(1, Number.POSITIVE_INFINITY) }],
    ["one question", { "draft.questions": Float64Array.of(1) }],
    ["questions of another kind", { "draft.questions": Int32Array.of(1, 2) }],
  ])("%s are ignored with a warning", async (_, change) => {
    await timesOf();
    const file = await costsFile();
    const kept = {
      "pass.rows": Int32Array.of(1, 2),
      "pass.ms": Float64Array.of(1, 2),
      "pass.per-token": Float64Array.of(0.001, 0.002),
      "pass.measured": Float64Array.of(Date.now()),
      ...change,
    };
    await writeState(file, fingerprint, new Map(Object.entries(kept)));
    expect((await timesOf())!.length).toBeGreaterThan(2);
    expect(warnings).toEqual([expect.stringMatching(/\.costs is no saved state .* times that cannot be/)]);
    await timesOf();
    expect(warnings).toHaveLength(1);
  });
});

describe("several at once", () => {
  it("models of one process: whoever reads meanwhile finds a whole file", async () => {
    await use();
    const file = await learntFile();
    let open = 8;
    const uses = Array.from({ length: open }, async (_, i) => {
      await use({ seed: i, temperature: 1, method: i % 2 ? "recycle-lookup" : "token-recycling" });
      open--;
    });
    let reads = 0;
    while (open > 0) {
      expect((await readState(file, fingerprint)).has("recycle.matrix")).toBe(true);
      reads++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(uses);
    expect(reads).toBeGreaterThan(0);
    expect(warnings).toEqual([]);
    expect(await files()).toHaveLength(1);
  });

  it("programs: all end well, and one whole file is left", async () => {
    const line = ["generate", "--model", path, "--prompt", "abab", "-n", "20", "--threads", "1", "--json"];
    const [first, ...others] = await Promise.all(
      Array.from({ length: 4 }, () => run(process.execPath, [COMMAND, ...line])),
    );
    const textOf = ({ stdout }: { stdout: string }) => (JSON.parse(stdout) as { text: string }).text;
    for (const other of others) expect(textOf(other)).toBe(textOf(first!));
    for (const { stderr } of [first!, ...others]) expect(stderr).not.toContain("warning");
    expect((await readState(await learntFile(), fingerprint)).has("recycle.matrix")).toBe(true);
  });
});
