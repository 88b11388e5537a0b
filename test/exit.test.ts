/** @file Drafting with a target's first layers and an exit block on the native engine: what runs, what it says, and which files it takes. */

import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { readConfig } from "../src/checkpoint/config.ts";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { findShippedExit, findShippedHead } from "../src/checkpoint/shipped-heads.ts";
import { ExitDrafter } from "../src/draft/exit.ts";
import { engine, type PassRequest } from "../src/engine/binding.ts";
import { loadModel } from "../src/engine/load.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { OptTree } from "../src/structure/opt-tree.ts";
import { fixed } from "../src/structure/stop/fixed.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { copiedExit } from "./exit-writer.ts";
import { type GgufFile, writeGguf } from "./gguf-writer.ts";
import { loadExit } from "./loaded.ts";
import { numbers, openTarget, randomTokens } from "./native-model.ts";
import { randomTree } from "./same-bits.ts";
import { hashDrafter } from "./table-drafter.ts";
import { collect } from "./toy-model.ts";

const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));
const TARGET = fixture("target.gguf");

/** What `python -m eesd.export --random` computed. */
interface Reference {
  /** The last one is the root. */
  readonly tokens: readonly number[];
  readonly tap: readonly number[][];
  readonly rows: readonly number[][];
  readonly nodes: readonly {
    readonly token: number;
    readonly parent: number;
    readonly tap: number[];
    readonly state: number[];
    readonly topTokens: readonly number[];
    readonly topLogProbs: readonly number[];
  }[];
}
const LAYERS = 8;
const EXIT = 3;
const binding = engine();

let folder: string;
let tokens: readonly string[];
let path: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-exit-"));
  await using gguf = await openGguf(TARGET);
  tokens = gguf.metadata.get("tokenizer.ggml.tokens")!.value as readonly string[];
  path = await write("block", await copiedExit(TARGET, { exitLayer: EXIT }));
});
afterAll(() => rm(folder, { recursive: true }));
afterEach(() => vi.restoreAllMocks());

/** What is left of a stream, `first` before it. */
async function* behind<T>(first: IteratorResult<T>, rest: AsyncIterable<T>): AsyncGenerator<T> {
  if (!first.done) yield first.value;
  yield* rest;
}

async function write(name: string, file: GgufFile | Uint8Array): Promise<string> {
  const path = join(folder, `${name}.gguf`);
  await writeFile(path, file instanceof Uint8Array ? file : writeGguf(file));
  return path;
}

/** The target's passes, as they begin: which layers, and the paths of the nodes that run through them. */
function watchPasses() {
  const passes: { from: number; to: number; paths: string[] }[] = [];
  const note = ({ trees, from, to, input, commit }: PassRequest) => {
    // A block's passes have states from their first layer on.
    if (commit || (from === 0 && input)) return;
    for (const { tokens, parents, size, first } of trees) {
      const paths = [`${tokens[0]}`];
      for (let node = 1; node < size; node++) paths.push(`${paths[parents[node]!]} ${tokens[node]}`);
      passes.push({ from, to, paths: paths.slice(first) });
    }
  };
  for (const name of ["forward", "forwardNow"] as const) {
    const run = binding[name].bind(binding) as (request: PassRequest) => Promise<void>;
    vi.spyOn(binding, name).mockImplementation((request: PassRequest) => {
      note(request);
      return run(request);
    });
  }
  return passes;
}

describe("a block that is the target's last layer, behind the one before", () => {
  const next = numbers(3);
  let target: NativeTarget;
  beforeAll(async () => {
    target = await openTarget(TARGET, { threads: 2 });
  });
  afterAll(() => target[Symbol.asyncDispose]());

  test.each([
    ["all tokens", undefined],
    ["its tokens in another order", [...Array(283).keys()].map((token) => (token * 100) % 283)],
    ["some of its tokens", [...Array(50).keys()].map((token) => token * 5 + 1)],
  ])("says what the target says, of %s, after any paths and prompts", async (_, draftVocab) => {
    const file = await copiedExit(TARGET, { exitLayer: LAYERS - 1, ...(draftVocab && { draftVocab }) });
    await using block = await loadExit(await write("last", file), target, tokens);
    await using sequence = await target.createSequence({ capacity: 200 });
    await using other = await target.createSequence({ capacity: 200 });
    await using drafter = new ExitDrafter(block, sequence, 190);
    const text = randomTokens(next, target.vocabSize, 1 + next(60));
    expect(drafter.resume(text)).toBe(0);
    const want = { topK: 0, taps: drafter.taps };
    await sequence.prefill(text.slice(0, -1), {
      want,
      onChunk: ({ tokens, pass }) => drafter.observePrompt(tokens, pass, sequence.length - tokens.length),
    });
    for (let step = 0; step < 12; step++) {
      const tree = randomTree(next, target.vocabSize, 1 + next(12));
      tree.tokens[0] = text.at(-1)!;
      const asked = [...Array(tree.size).keys()].filter((node) => node % 3 !== step % 3);
      const answers = step % 4 === 3 ? [] : await drafter.expand(tree, asked, 5);
      await other.prefill(text.slice(other.length, -1));
      const truth = await other.forward(tree, { topK: 0, logits: true });
      for (const [i, { tokens, probs }] of answers.entries()) {
        const logits = truth.logits(asked[i]!);
        const all = draftVocab ?? [...logits.keys()];
        const best = [...all].sort((a, b) => logits[b]! - logits[a]!).slice(0, 5);
        expect([...tokens]).toEqual(best);
        const sum = all.reduce((total, token) => total + Math.exp(logits[token]!), 0);
        for (const [rank, token] of best.entries())
          expect(probs[rank]! / (Math.exp(logits[token]!) / sum)).toBeCloseTo(1, 4);
      }
      other.rollback();
      const pass = await sequence.forward(tree, want);
      const path = tree.path(next(tree.size));
      sequence.commit(path);
      const bonus = next(target.vocabSize);
      await drafter.observe({ tree, pass, path, bonus, position: sequence.length - path.length });
      text.push(...path.slice(1).map((node) => tree.tokens[node]!), bonus);
    }
  });

  test("has every draft accepted", async () => {
    const last = await write("all", await copiedExit(TARGET, { exitLayer: LAYERS - 1 }));
    await using model = await loadModel(TARGET, { exit: last, passTimes: false, threads: 1 });
    const request = { prompt: "the theory of the", maxTokens: 64, method: "eesd:3" };
    const { end } = await collect(model.generate(request));
    // Steps of three drafted tokens and a bonus token.
    expect(end.stats).toMatchObject({
      passes: 16,
      mat: 4,
      byDrafter: { exit: { drafted: 48, accepted: 48 } },
    });
  });
});

test.each([
  ["exit", 0],
  ["exit", 5],
  ["exit", 12],
  ["exit-window", 0],
  ["exit-window", 5],
  ["exit-window", 12],
])(
  "a block (%s) computes what training computes, with %d rows read before the chain that ends in the root",
  async (name, read) => {
    const {
      tokens: text,
      tap,
      rows,
      nodes,
    } = JSON.parse(await readFile(fixture(`${name}.json`), "utf8")) as Reference;
    await using target = await openTarget(TARGET, { threads: 2 });
    await using block = await loadExit(fixture(`${name}.gguf`), target, tokens);
    expect(block.exitLayer).toBe(3);
    await using sequence = block.createSequence({ capacity: 64 });
    await sequence.read(Int32Array.from(text.slice(0, read)), Float32Array.from(tap.slice(0, read).flat()));
    const tree = new DraftTree(text[read]!, 64);
    for (const token of text.slice(read + 1)) tree.push(tree.size - 1, token, 1);
    const root = tree.size - 1;
    for (const { parent, token } of nodes.slice(1)) tree.push(root + parent, token, 1);
    const input = Float32Array.from([...tap.slice(read), ...nodes.map(({ tap }) => tap)].flat());
    const pass = await sequence.forward({ tree, first: 0, input, from: "target", topK: 8 });
    const expected = [...rows.slice(read), ...nodes.map(({ state }) => state)];
    for (const [row, wanted] of expected.entries()) {
      const got = pass.states.subarray(row * block.hiddenSize, (row + 1) * block.hiddenSize);
      const size = (values: number[]) => Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
      expect(size(wanted.map((value, i) => got[i]! - value)) / size(wanted)).toBeLessThan(0.05);
    }
    for (const [i, { topTokens, topLogProbs }] of nodes.entries()) {
      const said = [...pass.tokens.subarray((root + i) * 8, (root + i + 1) * 8)];
      expect(said.slice(0, 3)).toContain(topTokens[0]);
      for (const [rank, token] of topTokens.slice(0, 5).entries()) {
        const logProb = pass.logProbs[(root + i) * 8 + said.indexOf(token)]!;
        expect(Math.abs(logProb - topLogProbs[rank]!)).toBeLessThan(0.25);
      }
    }
  },
);

describe("layers", () => {
  test.each(["eesd:0", "eesd:4", "eesd", "eesd:beta-ts", "eesd:ddd", "eesd:tree"])(
    "%s: every node runs through each of them once, whoever drafts it",
    async (method) => {
      await using model = await loadModel(TARGET, { exit: path, passTimes: false, threads: 2 });
      const passes = watchPasses();
      const request = { prompt: "the theory of the", maxTokens: 48, budget: 12, method };
      const { end } = await collect(model.generate(request));
      const early: string[] = [];
      let steps = 0;
      let late = 0;
      let whole = 0;
      for (const { from, to, paths } of passes) {
        if (from === 0) {
          early.push(...paths);
          if (to === EXIT) continue;
          // Nothing was drafted: the last token of the text, or none ever.
          whole++;
          expect(early.length).toBe(1);
        }
        // The step's verification: what it has ran through the first layers, and nothing did so twice.
        expect(to).toBe(LAYERS);
        expect(new Set(early).size).toBe(early.length);
        for (const path of paths) expect(early).toContain(path);
        // Of a chain, nothing else.
        if (method !== "eesd:tree") expect(early.length).toBe(paths.length);
        late += paths.length;
        steps++;
        early.length = 0;
      }
      expect(early).toEqual([]);
      if (method === "eesd:0") expect(whole).toBe(steps);
      else expect(whole).toBeLessThan(2);
      expect({ steps, late }).toEqual({ steps: end.stats.passes, late: end.stats.nodes });
    },
  );

  test("texts that are generated at the same time share passes instead, and are the same", async () => {
    await using model = await loadModel(TARGET, { exit: path, passTimes: false, threads: 2 });
    const request = { maxTokens: 48, method: "eesd:3" };
    const prompts = ["the state", "a state of the", "the same"];
    const alone = [];
    for (const prompt of prompts) alone.push(await collect(model.generate({ prompt, ...request })));
    for (const { end } of alone) {
      expect(end.stats.byDrafter.exit!.drafted).toBeGreaterThan(30);
      expect(end.stats.off).toBe(null);
    }
    const passes = watchPasses();
    // A text whose start other programs hold up would find the target free: they go on when all have begun.
    const texts = prompts.map((prompt, i) => model.generate({ prompt, ...request, maxTokens: 48 - i }));
    const firsts = await Promise.all(texts.map((text) => text.next()));
    const together = await Promise.all(texts.map((text, i) => collect(behind(firsts[i]!, text))));
    for (const [i, { tokens }] of together.entries())
      expect(tokens).toEqual(alone[i]!.tokens.slice(0, 48 - i));
    const all = together.map(({ end }) => end.stats);
    expect(all.find(({ off }) => off)?.off).toMatch(/^off: .*shares no passes$/);
    // Who comes first, or stays last, has the target for itself for a few steps.
    expect(all.reduce((sum, { byDrafter }) => sum + byDrafter.exit!.drafted, 0)).toBeLessThan(45);
    expect(passes.filter(({ from, to }) => from === 0 && to === LAYERS).length).toBeGreaterThan(100);
  });

  test("nodes of another drafter run through the first ones, and join in the tree's order", async () => {
    await using target = await openTarget(TARGET, { threads: 2 });
    await using block = await loadExit(path, target, tokens);
    await using sequence = await target.createSequence({ capacity: 200 });
    await using plain = await target.createSequence({ capacity: 200 });
    await using drafter = new ExitDrafter(block, sequence, 200);
    const text = randomTokens(numbers(1), target.vocabSize, 30);
    const want = { topK: 4, logits: true, taps: drafter.taps };
    drafter.resume(text);
    await sequence.prefill(text.slice(0, -1), {
      want,
      onChunk: ({ tokens, pass }) => drafter.observePrompt(tokens, pass, 0),
    });
    const passes = watchPasses();
    let mixed = 0;
    for (let step = 0; step < 10; step++) {
      passes.length = 0;
      const tree = new DraftTree(text.at(-1)!, 24);
      await new OptTree(fixed(3), { width: 3, branches: 3 }).grow(
        tree,
        [drafter, hashDrafter(step, 4, target.vocabSize)],
        { nodes: 24, depth: 6 },
      );
      const before = passes.flatMap(({ paths }) => paths);
      const pass = await sequence.forward(tree, want);
      const early = passes.filter(({ from }) => from === 0).flatMap(({ paths }) => paths);
      const [late] = passes.slice(-1);
      expect(new Set(early).size).toBe(early.length);
      expect(late).toMatchObject({ from: EXIT, to: LAYERS });
      expect(late!.paths.length).toBe(tree.size);
      const known = late!.paths.map((path) => before.includes(path));
      // Some that ran before stand behind some that did not.
      if (known.indexOf(false) >= 0 && known.lastIndexOf(true) > known.indexOf(false)) mixed++;
      await plain.prefill(text.slice(plain.length, -1));
      const truth = await plain.forward(tree, want);
      for (let node = 0; node < tree.size; node++) {
        expect(pass.logits(node)).toEqual(truth.logits(node));
        expect(pass.hidden(node, EXIT)).toEqual(truth.hidden(node, EXIT));
      }
      expect([pass.tokens, pass.logProbs]).toEqual([truth.tokens, truth.logProbs]);
      plain.rollback();
      const path = tree.path(tree.size - 1 - step);
      sequence.commit(path);
      await drafter.observe({ tree, pass, path, bonus: step, position: text.length - 1 });
      text.push(...path.slice(1).map((node) => tree.tokens[node]!), step);
    }
    expect(mixed).toBeGreaterThan(2);
  });

  test("there is no second copy of their weights, nor of their keys and values", async () => {
    await using target = await openTarget(TARGET, { threads: 1 });
    const arenas = vi.spyOn(binding, "createArena");
    const matrices = vi.spyOn(binding, "createMatrix");
    const caches = vi.spyOn(binding, "createCache");
    const stacks = vi.spyOn(binding, "createStack");
    const bytes = () => arenas.mock.calls.reduce((sum, [size]) => sum + size, 0);
    const draftVocab = [...Array(64).keys()];
    const some = await write("some", await copiedExit(TARGET, { exitLayer: EXIT, draftVocab }));
    await using whole = await loadExit(path, target, tokens);
    // The seven matrices of its one layer; the output is the target's.
    expect(matrices).toHaveBeenCalledTimes(7);
    const layer = bytes();
    await using less = await loadExit(some, target, tokens);
    expect(bytes() - 2 * layer).toBe(binding.gatheredBytes(target.output, 64));
    expect(stacks.mock.calls.map(([, { layers, embedding }]) => [layers.length, embedding])).toEqual([
      [1, undefined],
      [1, undefined],
    ]);
    for (const block of [whole, less]) await block.createSequence({ capacity: 9 })[Symbol.asyncDispose]();
    expect(caches.mock.calls.map(([stack]) => stack)).toEqual([whole.stack, less.stack]);
  });
});

describe("files", () => {
  const load = async (file: GgufFile | Uint8Array | string) => {
    const at = typeof file === "string" ? file : await write("wrong", file);
    return loadModel(TARGET, { exit: at, passTimes: false });
  };
  const changed = async (key: string, value: GgufFile["metadata"][number][1] | undefined) => {
    const file = await copiedExit(TARGET, { exitLayer: EXIT });
    const metadata = file.metadata.flatMap(([name, old]) => {
      if (name !== `espalier-exit.${key}` && name !== key) return [[name, old] as const];
      return value === undefined ? [] : [[name, value] as const];
    });
    return { ...file, metadata };
  };
  const u32 = (value: number) => ({ type: "u32", value }) as const;

  test.each([
    ["target.block_count", u32(9), "wrong-head", "layers 9, this one has 8"],
    ["target.embedding_length", u32(96), "wrong-head", "hidden size 96, this one has 64"],
    ["target.vocab_size", u32(300), "wrong-head", "vocabulary size 300, this one has 283"],
    ["target.tokens_sha256", { type: "string", value: "0" }, "wrong-head", "other tokens"],
    ["embedding_length", u32(96), "bad-model", "hidden size"],
    ["exit_layer", u32(8), "bad-model", "exit_layer"],
    ["exit_layer", u32(0), "bad-model", "exit_layer"],
    ["exit_layer", undefined, "bad-model", "exit_layer"],
    ["block_count", u32(2), "bad-model", "one layer"],
    ["draft_vocab", { type: "array", of: "i32", value: [1, 2, 1] }, "bad-model", "token 1 twice"],
    ["draft_vocab", { type: "array", of: "i32", value: [283] }, "bad-model", "283"],
    ["draft_vocab", { type: "array", of: "i32", value: [] }, "bad-model", "empty"],
    ["attention.head_count", u32(3), "bad-model", "attn_q"],
    ["general.architecture", { type: "string", value: "llama" }, "bad-model", "no exit block"],
  ] as const)("%s = %j is refused", async (key, value, code, message) => {
    await expect(load(await changed(key, value))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(message),
    });
  });

  test("what is no block, is cut off, lacks a tensor or is not there is refused, and frees what was loaded", async () => {
    const whole = await copiedExit(TARGET, { exitLayer: EXIT });
    const bytes = writeGguf(whole);
    for (const part of [0.1, 0.5, 0.999]) {
      await expect(load(bytes.subarray(0, part * bytes.length))).rejects.toMatchObject({
        name: "EspalierError",
      });
    }
    await expect(load({ ...whole, tensors: whole.tensors.slice(1) })).rejects.toMatchObject({
      code: "missing-tensor",
    });
    await expect(load(TARGET)).rejects.toMatchObject({ code: "bad-model" });
    await expect(load(join(folder, "nowhere.gguf"))).rejects.toMatchObject({ code: "file-not-found" });
    await expect(loadModel(undefined, { exit: path })).rejects.toMatchObject({ code: "wrong-head" });
  });

  test('the block that comes with the package is found, and "none" means none', async () => {
    await using gguf = await openGguf(TARGET);
    const target = { config: readConfig(gguf), tokens };
    const models = join(folder, "models");
    expect(await findShippedExit(target, models)).toBeUndefined();
    await mkdir(join(models, "random"), { recursive: true });
    const shipped = join(models, "random", "random-exit.gguf");
    await writeFile(shipped, writeGguf(await copiedExit(TARGET, { exitLayer: EXIT })));
    expect(await findShippedExit(target, models)).toBe(shipped);
    expect(await findShippedHead(target, models)).toBeUndefined();
    expect(await findShippedExit({ ...target, tokens: tokens.toReversed() }, models)).toBeUndefined();
    await using model = await loadModel(TARGET, { exit: "none", passTimes: false });
    expect(model.methodNames).not.toContain("eesd");
    expect(() => model.method("eesd")).toThrow(/exit block.*--exit/);
  });
});
