/** @file Length predictors: from the file to how many tokens are drafted. */

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { loadModel } from "../src/engine/load.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { dequantize } from "./dequantize.ts";
import { type GgufFile, type GgufValue, writeGguf } from "./gguf-writer.ts";
import { randomLdlp } from "./ldlp-writer.ts";
import { loadLdlp } from "./loaded.ts";
import { openTarget } from "./native-model.ts";
import { collect } from "./toy-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));
const TARGET = fixture("target.gguf");
const HEAD = fixture("eagle-fused.gguf");
const LONGEST = 6;

let target: NativeTarget;
let tokens: readonly string[];
let embeddings: Float32Array;
let finalNorm: Float32Array;
let file: GgufFile;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-ldlp-"));
  target = await openTarget(TARGET, { threads: 1 });
  await using gguf = await openGguf(TARGET);
  tokens = gguf.metadata.get("tokenizer.ggml.tokens")!.value as readonly string[];
  const values = async (name: string) => {
    const tensor = gguf.tensors.get(name)!;
    const bytes = new Uint8Array(tensor.byteLength);
    await gguf.read(tensor, bytes);
    return tensor.type.name === "F32" ? new Float32Array(bytes.buffer) : dequantize(tensor.type.name, bytes);
  };
  embeddings = await values("token_embd.weight");
  finalNorm = await values("output_norm.weight");
  const { hiddenSize, layers } = target;
  const drafts = await readFile(HEAD);
  file = randomLdlp({ hiddenSize, layers, tokens, width: 96, longest: LONGEST, drafts });
});
afterAll(async () => {
  await target[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

async function put(name: string, gguf: GgufFile): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, writeGguf(gguf));
  return path;
}

const open = async (gguf: GgufFile) => loadLdlp(await put("one.gguf", gguf), target, tokens, HEAD);

/** What the format says, in doubles: the length before it is rounded. */
function reference(embedding: Float32Array, last: Float32Array): number {
  const tensor = (name: string) => {
    const { data } = file.tensors.find((tensor) => tensor.name === name)!;
    return new Float32Array(data.buffer);
  };
  const affine = (name: string, x: readonly number[]) => {
    const weight = tensor(`${name}.weight`);
    return Array.from(tensor(`${name}.bias`), (bias, row) =>
      x.reduce((sum, value, i) => sum + weight[row * x.length + i]! * value, bias),
    );
  };
  const silu = (x: number) => x / (1 + Math.exp(-x));
  const scale =
    1 / Math.sqrt(last.reduce((sum, x) => sum + x * x, 0) / last.length + target.config.normEpsilon);
  let x = affine("in", [...embedding, ...Array.from(last, (x, i) => x * scale * finalNorm[i]!)]).map(silu);
  for (const block of ["blk.0", "blk.1"]) {
    const y = affine(block, x).map(silu);
    x = x.map((value, i) => value + y[i]!);
  }
  return affine("out", x)[0]!;
}

describe("a length predictor", () => {
  test("says what its file says, about the embedding and the last hidden state of a pass", async () => {
    await using ldlp = await open(file);
    expect(ldlp.longest).toBe(LONGEST);
    await using sequence = await target.createSequence({ capacity: 300 });
    const seen = new Set<number>();
    let clear = 0;
    for (let from = 0; from < 256; from += 64) {
      const tree = new DraftTree(from, 64);
      for (let node = 1; node < 64; node++) tree.push(node - 1, from + node, 0.5);
      const pass = await sequence.forward(tree, { topK: 0, taps: ldlp.taps });
      for (let node = 0; node < 64; node++) {
        const [embedding, last] = ldlp.taps.map((tap) => pass.hidden(node, tap)) as [
          Float32Array,
          Float32Array,
        ];
        const row = (from + node) * target.hiddenSize;
        expect(embedding).toEqual(embeddings.subarray(row, row + target.hiddenSize));
        const length = ldlp.predict(embedding, last);
        seen.add(length);
        const wanted = reference(embedding, last);
        // The engine multiplies int8 blocks, so what is nearly half a token may be rounded either way.
        if (Math.abs((wanted % 1) - 0.5) < 0.25) continue;
        clear++;
        expect(length).toBe(Math.max(0, Math.min(LONGEST, Math.round(wanted))));
      }
      sequence.commit(Array.from({ length: 64 }, (_, node) => node));
    }
    expect([...seen].sort()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(clear).toBeGreaterThan(100);
  });

  test("drafts nothing when its state is not a number", async () => {
    await using ldlp = await open(file);
    const rubbish = new Float32Array(target.hiddenSize).fill(Number.NaN);
    expect(ldlp.predict(rubbish, rubbish)).toBeGreaterThanOrEqual(0);
    const bias = file.tensors.map((tensor) =>
      tensor.name === "out.bias"
        ? { ...tensor, data: new Uint8Array(Float32Array.of(Number.NaN).buffer) }
        : tensor,
    );
    await using broken = await open({ ...file, tensors: bias });
    expect(broken.predict(embeddings.subarray(0, 64), embeddings.subarray(64, 128))).toBe(0);
  });

  test("goes with a model and its head, and methods that need it draft no more than it says", async () => {
    const ldlp = await put("predictor.gguf", file);
    await using model = await loadModel(TARGET, { head: HEAD, ldlp, threads: 1 });
    const request = { tokens: [5, 6, 7, 8], maxTokens: 60 };
    const plain = await collect(model.generate({ ...request, method: "plain" }));
    for (const method of ["adaeagle", "adaeagle:0.6"]) {
      const { tokens, end } = await collect(model.generate({ ...request, method, budget: 16 }));
      expect(tokens).toEqual(plain.tokens);
      expect(end.stats.byDrafter.eagle!.drafted).toBeGreaterThan(0);
      if (method === "adaeagle")
        expect(end.stats.nodes).toBeLessThanOrEqual((1 + LONGEST) * end.stats.passes);
    }
    await using without = await loadModel(TARGET, { head: HEAD, threads: 1 });
    expect(without.methodNames).not.toContain("adaeagle");
    const failure = collect(without.generate({ ...request, method: "adaeagle" }));
    await expect(failure).rejects.toThrow("adaeagle needs a length predictor");
  });

  test("is found beside its head", async () => {
    const head = join(folder, "name-eagle.gguf");
    await writeFile(head, await readFile(HEAD));
    await put("name-ldlp.gguf", file);
    await using model = await loadModel(TARGET, { head, threads: 1 });
    expect(model.methodNames).toContain("adaeagle");
  });

  test("needs something that drafts", async () => {
    const ldlp = await put("predictor.gguf", file);
    await expect(loadModel(TARGET, { ldlp, head: "none", threads: 1 })).rejects.toThrow(
      "nothing drafts for this model",
    );
  });
});

describe("a file that is no length predictor for these", () => {
  const changed = (key: string, value: GgufValue): GgufFile => ({
    ...file,
    metadata: file.metadata.map((entry) => (entry[0] === `espalier-ldlp.${key}` ? [entry[0], value] : entry)),
  });
  const reshaped = (name: string, change: object): GgufFile => ({
    ...file,
    tensors: file.tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor)),
  });

  test.each<[string, () => GgufFile | Promise<GgufFile>, string, string]>([
    [
      "another width",
      () => changed("width", { type: "u32", value: 64 }),
      "bad-model",
      '"in.weight" is 128 x 96',
    ],
    [
      "a width between blocks",
      () => changed("width", { type: "u32", value: 97 }),
      "bad-model",
      "multiple of 32",
    ],
    ["no length", () => changed("k_max", { type: "u32", value: 0 }), "bad-model", "from 1 to 64"],
    [
      "a length of another type",
      () => changed("k_max", { type: "f32", value: 3 }),
      "bad-model",
      "an integer",
    ],
    [
      "another target",
      () => changed("target.block_count", { type: "u32", value: 9 }),
      "wrong-head",
      'a length predictor for "a target" (layers 9',
    ],
    [
      "other tokens",
      () => changed("target.tokens_sha256", { type: "string", value: "0" }),
      "wrong-head",
      "other tokens",
    ],
    [
      "another head",
      () => changed("head.sha256", { type: "string", value: "0" }),
      "wrong-head",
      "predicts for another draft head",
    ],
    ["a tensor less", () => reshaped("blk.1.bias", { name: "blk.2.bias" }), "missing-tensor", '"blk.1.bias"'],
    ["a short bias", () => reshaped("in.bias", { shape: [95] }), "bad-model", '"in.bias" is 95'],
    ["quantised weights", () => reshaped("out.weight", { type: 8 }), "unsupported-weight-type", "Q8_0"],
    [
      "a model",
      () => ({ ...file, metadata: [["general.architecture", { type: "string", value: "llama" }]] }),
      "bad-model",
      "this is no length predictor",
    ],
  ])("%s", async (_, gguf, code, message) => {
    await expect(open(await gguf())).rejects.toMatchObject({
      name: "EspalierError",
      code,
      message: expect.stringContaining(message),
    });
  });

  test("ends anywhere", async () => {
    const bytes = writeGguf(file);
    for (const part of [0, 0.01, 0.1, 0.4, 0.9, 0.999]) {
      const path = join(folder, "cut.gguf");
      await writeFile(path, bytes.subarray(0, Math.floor(bytes.length * part)));
      await expect(loadLdlp(path, target, tokens, HEAD)).rejects.toMatchObject({ name: "EspalierError" });
    }
  });
});
