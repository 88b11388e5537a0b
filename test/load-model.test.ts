/** @file From a file to a model that generates, and everything that can be wrong on the way. */

import { execFileSync } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable, Writable } from "node:stream";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import type { Input, Io } from "../src/cli/io.ts";
import { run } from "../src/cli/program.ts";
import { engine } from "../src/engine/binding.ts";
import { loadModel } from "../src/engine/load.ts";
import type { EspalierErrorCode } from "../src/errors.ts";
import type { Tokenizer } from "../src/text/tokenizer.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { byteVocabulary } from "./byte-vocabulary.ts";
import { type GgufFile, writeGguf } from "./gguf-writer.ts";
import { speakingLlama } from "./native-model.ts";
import { collect } from "./toy-model.ts";

let folder: string;
let path: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-load-"));
  path = await put("good.gguf", speakingLlama());
});
afterAll(() => rm(folder, { recursive: true }));

async function put(name: string, content: GgufFile | string): Promise<string> {
  const at = join(folder, name);
  await writeFile(at, typeof content === "string" ? content : writeGguf(content));
  return at;
}

/** What `espalier generate` says of a model: exit code, and all of standard error. */
async function generate(model: string, ...more: string[]): Promise<{ code: number; stderr: string }> {
  let stderr = "";
  const sink = (write: (text: string) => void) =>
    new Writable({
      decodeStrings: false,
      write(text: string, _encoding, done) {
        write(text);
        done();
      },
    });
  const io: Io = {
    stdin: Readable.from([]) as Input,
    stdout: sink(() => {}),
    stderr: sink((text) => {
      stderr += text;
    }),
    env: {},
    loadModel,
    findModel: async (name) => name,
    fetchModel: async (name) => name,
    onInterrupt: () => () => {},
    onStop: () => () => {},
    exit: () => {},
  };
  const code = await run(["generate", "--model", model, "--prompt", "Hi", "-n", "3", ...more], io);
  return { code, stderr };
}

it("loads a model that generates, with all its options", async () => {
  const fractions: number[] = [];
  await using model = await loadModel(path, {
    threads: 2,
    contextLength: 64,
    cacheType: "f32",
    onProgress: (fraction) => fractions.push(fraction),
  });
  expect([model.name, model.contextLength]).toEqual(["good", 64]);
  expect(fractions.at(-1)).toBe(1);
  expect(fractions).toEqual([...fractions].sort((a, b) => a - b));
  const plain = await collect(model.generate({ prompt: "abab", maxTokens: 20, method: "plain" }));
  const drafted = await collect(model.generate({ prompt: "abab", maxTokens: 20 }));
  expect(drafted.tokens).toEqual(plain.tokens);
  await using other = await loadModel(path, { threads: 1, cacheType: "f32", passTimes: false });
  expect(other.contextLength).toBe(512);
  const again = await collect(other.generate({ prompt: "abab", maxTokens: 20 }));
  expect(again.tokens).toEqual(plain.tokens);
  expect((await generate(path)).code).toBe(0);
});

describe("what is wrong with a file is said by loadModel and by the command", () => {
  const says = async (model: string, code: EspalierErrorCode, message: RegExp) => {
    await expect(loadModel(model)).rejects.toEqual(
      expect.objectContaining({ name: "EspalierError", code, message: expect.stringMatching(message) }),
    );
    const { code: exit, stderr } = await generate(model);
    expect(exit).toBe(1);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^error: /m);
  };

  it("no such file", async () => {
    await says(join(folder, "none.gguf"), "file-not-found", /none\.gguf/);
    await says(folder, "file-not-found", /neither a file/);
  });

  it("not a GGUF", async () => {
    await says(await put("text.gguf", "just a text"), "not-gguf", /text\.gguf/);
    await says(await put("empty.gguf", ""), "not-gguf", /empty\.gguf/);
  });

  it("a file that is cut off, at any place", async () => {
    const whole = writeGguf(speakingLlama());
    for (const part of [0.01, 0.3, 0.6, 0.999]) {
      const cut = join(folder, "cut.gguf");
      await writeFile(cut, whole.subarray(0, Math.floor(part * whole.length)));
      await expect(loadModel(cut), `${part}`).rejects.toMatchObject({ name: "EspalierError" });
    }
  });

  it("an unknown architecture, and one whose features are unknown", async () => {
    const metadata = { "general.architecture": { type: "string", value: "mamba" } } as const;
    const file = await put("mamba.gguf", speakingLlama({ metadata }));
    await says(file, "unsupported-architecture", /"mamba" is not supported; supported: llama/);
    const scaled = { "llama.rope.scaling.type": { type: "string", value: "dynamic" } } as const;
    await says(
      await put("dynamic.gguf", speakingLlama({ metadata: scaled })),
      "unsupported-architecture",
      /rope\.scaling\.type.*dynamic/,
    );
  });

  it("weights of an unsupported type", async () => {
    for (const matrixType of ["MXFP4", "I8", "F64"]) {
      const { metadata, tensors } = speakingLlama();
      const { tensors: others } = speakingLlama({ matrixType });
      const mixed = tensors.map((tensor, i) =>
        String(tensor.name).includes("ffn_up") ? others[i]! : tensor,
      );
      await says(
        await put(`${matrixType}.gguf`, { metadata, tensors: mixed }),
        "unsupported-weight-type",
        new RegExp(
          `blk\\.0\\.ffn_up\\.weight" is of type ${matrixType}; supported for it: F32, F16, BF16, Q4_0`,
        ),
      );
    }
  });

  it("no tokenizer, and one that is unknown", async () => {
    const without = { "tokenizer.ggml.model": undefined };
    await says(
      await put("dumb.gguf", speakingLlama({ metadata: without })),
      "missing-tokenizer",
      /tokenizer/,
    );
    const other = { "tokenizer.ggml.model": { type: "string", value: "bert" } } as const;
    await says(await put("bert.gguf", speakingLlama({ metadata: other })), "unsupported-tokenizer", /bert/);
  });

  it("heads that the engine does not take", async () => {
    const file = await put("narrow.gguf", speakingLlama({ heads: 4, kvHeads: 2 }));
    await says(file, "bad-model", /head_size must be a multiple of 32/);
  });

  it("a tensor that is missing", async () => {
    const { metadata, tensors } = speakingLlama();
    const file = { metadata, tensors: tensors.filter(({ name }) => name !== "blk.1.attn_k.weight") };
    await says(await put("part.gguf", file), "missing-tensor", /blk\.1\.attn_k\.weight/);
  });
});

describe("a draft model", () => {
  it("drafts where no method is named, is counted, and changes no token", async () => {
    const draftModel = await put("draft.gguf", speakingLlama({ layers: 1 }));
    await using model = await loadModel(path, { draftModel });
    expect(model.methodNames).toContain("draft-model");
    const request = { prompt: "abababab", maxTokens: 60, budget: 8 };
    const plain = await collect(model.generate({ ...request, method: "plain" }));
    const drafted = await collect(model.generate(request));
    expect(drafted.tokens).toEqual(plain.tokens);
    const { method, byDrafter, passes, draftMs, passMs, decodeMs } = drafted.end.stats;
    expect(method).toBe("auto");
    expect(byDrafter.model!.drafted).toBeGreaterThan(byDrafter.model!.accepted);
    expect(byDrafter.model!.passes).toBeGreaterThanOrEqual(passes - 1);
    expect(draftMs).toBeGreaterThan(0);
    expect(draftMs + passMs).toBeLessThanOrEqual(decodeMs);
    const again = await collect(model.generate(request));
    // Passes are those of one text. They are not the same again, since the method has learnt how often its model is right.
    expect(again.tokens).toEqual(plain.tokens);
    expect(again.end.stats.byDrafter.model!.passes).toBeLessThan(1.5 * byDrafter.model!.passes);
    const other = await collect(model.generate({ ...request, method: "prompt-lookup" }));
    expect(other.end.stats.byDrafter.lookup!.passes).toBe(0);
  });

  it("that is the model itself is right all the time", async () => {
    await using model = await loadModel(path, { draftModel: path, passTimes: false });
    const request = { prompt: "abababab", maxTokens: 90, budget: 64, method: "draft-model" };
    const { stats } = (await collect(model.generate(request))).end;
    // A step drafts 8 levels; now and then the right path is not among the most valuable of a level.
    expect(stats.mat).toBeGreaterThan(6);
    expect(stats.mat).toBeLessThanOrEqual(9);
  });

  it("keeps up with a conversation", async () => {
    const draftModel = await put("draft.gguf", speakingLlama({ layers: 1 }));
    await using model = await loadModel(path, { draftModel });
    await using session = await model.createSession();
    let tokens = [1, 2, 3];
    for (const more of [[4, 5], [6], []]) {
      tokens = [...tokens, ...more];
      const request = { tokens, maxTokens: 20 };
      const plain = await collect(model.generate({ ...request, method: "plain" }));
      expect((await collect(session.generate(request))).tokens).toEqual(plain.tokens);
      tokens = [...tokens, ...plain.tokens];
    }
  });

  it("of another vocabulary is refused, with the first difference", async () => {
    const refused = async (name: string, file: GgufFile, message: RegExp) => {
      const draftModel = await put(name, file);
      await expect(loadModel(path, { draftModel })).rejects.toEqual(
        expect.objectContaining({
          name: "EspalierError",
          code: "other-vocabulary",
          message: expect.stringMatching(message),
        }),
      );
      const { code, stderr } = await generate(path, "--draft-model", draftModel);
      expect(code).toBe(1);
      expect(stderr).toMatch(message);
    };
    const { tokens } = byteVocabulary(["a c"]);
    const renamed = { "tokenizer.ggml.tokens": { type: "array", of: "string", value: tokens } } as const;
    await refused(
      "renamed.gguf",
      speakingLlama({ metadata: renamed }),
      /renamed\.gguf cannot draft for .*good\.gguf.*token 256 is "ac" there, "ab" here/,
    );
    const more = byteVocabulary(["a b", "a c"]).tokens;
    const longer = {
      "tokenizer.ggml.tokens": { type: "array", of: "string", value: more },
      "tokenizer.ggml.token_type": undefined,
    } as const;
    await refused(
      "longer.gguf",
      speakingLlama({ vocabSize: more.length, metadata: longer }),
      /260 tokens there, 259 here/,
    );
  });

  it("that is missing is an error, and so is its method without one", async () => {
    await expect(loadModel(path, { draftModel: join(folder, "none.gguf") })).rejects.toMatchObject({
      code: "file-not-found",
    });
    await using model = await loadModel(path);
    expect(model.methodNames).not.toContain("draft-model");
    const failed = collect(model.generate({ prompt: "a", method: "draft-model" }));
    await expect(failed).rejects.toThrow(/draft-model needs a draft model: .*--draft-model/);
  });
});

describe("a datastore", () => {
  it("of another vocabulary is refused, by whatever is asked", async () => {
    const match = () => {
      throw new Error("asked");
    };
    const refused = loadModel(path, { datastore: { fingerprint: "00", match } });
    await expect(refused).rejects.toEqual(expect.objectContaining({ code: "other-vocabulary" }));
  });

  it("is what requests that name no method look into", async () => {
    let asked = 0;
    await using alone = await loadModel(path);
    const match = () => {
      asked++;
      const [tokens, parents, counts] = [Int32Array.of(5, 6), Int32Array.of(-1, 0), Int32Array.of(3, 2)];
      return { matched: 2, hits: 4, tokens, parents, counts };
    };
    const { fingerprint } = alone.parts.tokenizer as Tokenizer;
    await using model = await loadModel(path, { datastore: { fingerprint, match } });
    const request = { tokens: [1, 2, 3], maxTokens: 20 };
    const plain = await collect(alone.generate({ ...request, method: "plain" }));
    expect((await collect(model.generate(request))).tokens).toEqual(plain.tokens);
    expect(asked).toBeGreaterThan(0);
  });
});

describe("options out of range", () => {
  it.each([0, -1, 65, 1.5, Number.NaN, "2"])("threads %s", async (threads) => {
    await expect(loadModel(path, { threads: threads as number })).rejects.toThrow(RangeError);
    await expect(loadModel(path, { threads: threads as number })).rejects.toThrow(`threads is ${threads}`);
  });

  it.each([0, 1, 513, 64.5, Number.NaN])("contextLength %s", async (contextLength) => {
    await expect(loadModel(path, { contextLength })).rejects.toThrow(RangeError);
    await expect(loadModel(path, { contextLength })).rejects.toThrow(
      `contextLength is ${contextLength}; give an integer from 2 to 512`,
    );
  });

  it("a cache type there is not", async () => {
    await expect(loadModel(path, { cacheType: "q8" as "i16" })).rejects.toThrow(/cacheType is q8/);
  });

  it.each([
    ["--threads", "65"],
    ["--threads", "x"],
    ["--context", "513"],
    ["--context", "1"],
  ])("%s %s of the command", async (option, value) => {
    const { code, stderr } = await generate(path, option, value);
    expect(code).toBe(1);
    expect(stderr).toContain(value);
  });

  it.each([0, -5, 2.5, Number.NaN])("a cache of %s", async (capacity) => {
    await using model = await loadModel(path);
    await expect(model.parts.target.createSequence({ capacity })).rejects.toThrow(RangeError);
  });
});

describe("the engine that the environment asks for", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.resetModules();
  });
  /** A fresh copy, because a module keeps the engine it has loaded. */
  const freshEngine = async () => {
    vi.resetModules();
    return (await import("../src/engine/binding.ts")).engine;
  };

  it("is refused when it is unknown, with a list of what there is", async () => {
    vi.stubEnv("ESPALIER_ISA", "sse9");
    const fresh = await freshEngine();
    const isas = engine().isas();
    expect(fresh).toThrow(expect.objectContaining({ name: "EspalierError", code: "no-engine" }));
    for (const { name } of [{ name: "sse9" }, ...isas]) expect(fresh).toThrow(name);
    const { loadModel: freshLoad } = await import("../src/engine/load.ts");
    await expect(freshLoad(path)).rejects.toMatchObject({ code: "no-engine" });
  });

  it("is used when it can be", async () => {
    const before = engine().currentIsa();
    vi.stubEnv("ESPALIER_ISA", "generic");
    try {
      expect((await freshEngine())().currentIsa()).toBe("generic");
    } finally {
      engine().selectIsa(before);
    }
  });

  it("is refused when ESPALIER_NATIVE is no engine", async () => {
    vi.stubEnv("ESPALIER_NATIVE", join(folder, "none.node"));
    expect(await freshEngine()).toThrow(expect.objectContaining({ code: "no-engine" }));
    expect(await freshEngine()).toThrow(/none\.node/);
  });
});

/** Bytes that this process has addresses for. */
function addresses(): number {
  const pages = execFileSync("cat", [`/proc/${process.pid}/statm`], { encoding: "utf8" }).split(" ")[0];
  const pageSize = Number(execFileSync("getconf", ["PAGESIZE"], { encoding: "utf8" }));
  return Number(pages) * pageSize;
}

function canLimitMemory(): boolean {
  if (process.platform !== "linux") return false;
  try {
    execFileSync("prlimit", ["--pid", `${process.pid}`, "--as"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("memory", () => {
  // Half a megabyte of cache for each token, in little weight and time.
  const deep = () => speakingLlama({ layers: 1024, heads: 2, kvHeads: 2, feedForwardSize: 32 });

  it.skipIf(!canLimitMemory())(
    "that is not there for a long text is an error, and shorter ones still work",
    async () => {
      const model = await loadModel(await put("deep.gguf", deep()), { cacheType: "f32", passTimes: false });
      try {
        const sequence = await model.parts.target.createSequence({ capacity: 512 });
        await sequence.prefill([1, 2, 3]);
        // The soft limit alone, which goes back up to the hard one afterwards.
        const limit = (bytes: string) =>
          execFileSync("prlimit", ["--pid", `${process.pid}`, `--as=${bytes}:`]);
        limit(`${addresses() + 120 * 2 ** 20}`);
        try {
          const text = Array(500).fill(1);
          await expect(sequence.prefill(text)).rejects.toEqual(
            expect.objectContaining({
              name: "EspalierError",
              code: "out-of-memory",
              message: expect.stringMatching(/no memory for a cache of \d+ tokens/),
            }),
          );
          expect(sequence.length).toBeLessThan(500);
          await expect(model.parts.target.createSequence({ capacity: 512 })).rejects.toMatchObject({
            code: "out-of-memory",
          });
          sequence.truncate(3);
          await sequence.forward(new DraftTree(1, 1), { topK: 1 });
          sequence.commit([0]);
          expect(sequence.length).toBe(4);
        } finally {
          limit("unlimited");
        }
        await sequence[Symbol.asyncDispose]();
      } finally {
        await model[Symbol.asyncDispose]();
      }
    },
  );
});
