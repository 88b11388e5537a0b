/**
 * @file Every architecture in the engine against transformers in fp32, and against itself without one of its parts: a model in
 * which a bias or a window made no difference would prove nothing.
 */

import { afterEach, describe, expect, test } from "vitest";
import type { ModelConfig } from "../src/checkpoint/config.ts";
import type { RopeScaling } from "../src/checkpoint/rope.ts";
import { engine, type LayerWeights, selectIsa } from "../src/engine/binding.ts";
import { NativeTarget, type NativeTargetOptions } from "../src/engine/native-target.ts";
import type { Weights } from "../src/engine/weights.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { type ArchitectureFixture, divergence, readArchitectures } from "./architectures.ts";
import { numbers, openWeights } from "./native-model.ts";
import { ReferencePass } from "./reference-pass.ts";
import { checkRow, everything, plainRows, plainTree, randomPart, randomTree } from "./same-bits.ts";

/** Mean divergence in nats: of an 8-bit file at most, and without a part that matters at least. */
const CLOSE = 0.005;
const FAR = 0.01;

/** A model with something taken away. */
interface Without {
  readonly what: string;
  readonly config?: (config: ModelConfig) => ModelConfig;
  readonly layer?: (layer: LayerWeights) => LayerWeights;
  readonly weights?: Partial<Weights>;
  readonly contextLength?: number;
}

const noPart = (name: keyof LayerWeights): Without => ({
  what: `its ${name}`,
  layer: (layer) => ({ ...layer, [name]: undefined }),
});
const scaled = (what: string, change: Partial<RopeScaling>): Without => ({
  what,
  config: ({ rope, ...config }) => ({
    ...config,
    rope: { ...rope, scaling: { ...rope.scaling, ...change } as RopeScaling },
  }),
});
const otherRope = (what: string, change: Partial<ModelConfig["rope"]>): Without => ({
  what,
  config: (config) => ({ ...config, rope: { ...config.rope, ...change } }),
});

const other = (what: string, change: Partial<ModelConfig>): Without => ({
  what,
  config: (config) => ({ ...config, ...change }),
});
const noWindow: Without = {
  what: "its window",
  config: ({ windows, ...config }) => ({ ...config, windows: windows.map(() => undefined) }),
};

const parts: Readonly<Record<string, readonly Without[]>> = {
  llama: [otherRope("the order of its rotation", { order: "neox" })],
  llama3: [{ what: "its factors of rotation", weights: { ropeFactors: undefined } }],
  "llama-linear": [scaled("its factor of rotation", { type: "none" })],
  "qwen2-yarn": [
    scaled("its factor of rotation", { factor: 1 }),
    scaled("leaving fast pairs alone", { type: "linear" }),
    scaled("its amplitude", { amplitude: 1 }),
  ],
  qwen2: [
    otherRope("the order of its rotation", { order: "normal" }),
    otherRope("its base of rotation", { base: 10_000 }),
    noPart("queryBias"),
    noPart("keyBias"),
    noPart("valueBias"),
  ],
  qwen3: [
    otherRope("the order of its rotation", { order: "normal" }),
    noPart("queryNorm"),
    noPart("keyNorm"),
  ],
  mistral: [noWindow],
  phi3: [
    noWindow,
    { what: "its factors of rotation", weights: { ropeFactors: undefined } },
    { what: "its factors for long texts", contextLength: 96 },
    scaled("its amplitude", { amplitude: 1 }),
  ],
  "phi3-short": [{ what: "its factors for short texts", contextLength: 512 }],
  gemma2: [
    noWindow,
    noPart("attentionPostNorm"),
    noPart("feedPostNorm"),
    other("its cap of scores", { attentionCap: undefined }),
    other("its cap of logits", { logitCap: undefined }),
    other("GELU", { activation: "silu" }),
    other("its scale of embeddings", { embeddingScale: 1 }),
  ],
  gemma3: [
    noWindow,
    {
      what: "its layer that sees all",
      config: ({ windows, ...config }) => ({ ...config, windows: windows.map(() => windows[0]) }),
    },
    {
      what: "its other rotation of layers with a window",
      config: (config) => ({ ...config, localRope: config.rope }),
    },
    scaled("its factor of rotation", { type: "none" }),
    noPart("queryNorm"),
    noPart("keyNorm"),
    noPart("attentionPostNorm"),
    noPart("feedPostNorm"),
    other("GELU", { activation: "silu" }),
    other("its scale of embeddings", { embeddingScale: 1 }),
    other("its scale of attention", { attentionScale: 1 / 32 }),
  ],
};

async function open(
  { path, contextLength }: ArchitectureFixture,
  { config: change, layer, weights: changes, contextLength: other }: Partial<Without> = {},
  options: Partial<NativeTargetOptions> = {},
): Promise<NativeTarget> {
  const { config, weights } = await openWeights(path, other ?? contextLength);
  const layers = layer ? weights.layers.map(layer) : weights.layers;
  const changed: Weights = { ...weights, layers, ...changes };
  return new NativeTarget(engine(), change ? change(config) : config, changed, { threads: 1, ...options });
}

const best = engine().currentIsa();
const isas = engine()
  .isas()
  .filter(({ usable }) => usable)
  .map(({ name }) => name);

/** Holds trees of any part of `tree` on top of `text`, and the text in chunks, against plain decoding. */
async function checkBits(
  target: NativeTarget,
  others: readonly { readonly isa: string; readonly target: NativeTarget }[],
  tokens: readonly number[],
  cut: number,
): Promise<void> {
  const next = numbers(tokens.length + cut);
  const want = everything(target);
  const rows = await plainRows(target, tokens, want);
  const tree = randomTree(next, target.vocabSize, 40, 5);
  await using plain = await target.createSequence({ capacity: 200 });
  await plain.prefill(tokens.slice(0, cut));
  const treeRows = await plainTree(plain, tree, want);
  for (const [i, { isa, target }] of others.entries()) {
    selectIsa(engine(), isa);
    await using sequence = await target.createSequence({ capacity: 200 });
    const chunk = [64, 3, 128, 17][i % 4]!;
    while (sequence.length < tokens.length) {
      const from = sequence.length;
      await sequence.prefill(tokens.slice(from, from + chunk), {
        want,
        onChunk: ({ pass, done }) => {
          for (let row = 0; row < pass.size; row++) {
            const at = from + done - pass.size + row;
            checkRow(pass, row, want, rows[at]!, () => `position ${at}, ${isa}`);
          }
        },
      });
    }
    sequence.truncate(cut);
    for (const size of [1, 2, 3, 9, 40]) {
      const { part, nodes } = randomPart(next, tree, size);
      const pass = await sequence.forward(part, want);
      for (const [at, node] of nodes.entries()) {
        checkRow(pass, at, want, treeRows[node]!, () => `${size} nodes, ${isa}`);
      }
      sequence.rollback();
    }
  }
  selectIsa(engine(), best);
}

/** Mean divergence from the reference when the text is read `chunk` tokens at a time. */
async function meanDivergence(
  target: NativeTarget,
  fixture: ArchitectureFixture,
  chunk = fixture.tokens.length,
) {
  const { tokens, rows } = fixture;
  await using sequence = await target.createSequence({ capacity: tokens.length });
  let at = 0;
  let total = 0;
  while (at < tokens.length) {
    await sequence.prefill(tokens.slice(at, at + chunk), {
      want: { topK: 0, logits: true },
      onChunk: ({ pass }) => {
        for (let row = 0; row < pass.size; row++) total += divergence(rows[at++]!, pass.logits(row));
      },
    });
  }
  return total / tokens.length;
}

afterEach(() => selectIsa(engine(), best));

describe.each(readArchitectures())("$name", (fixture) => {
  test("is what transformers computes, read at once and token by token", async () => {
    await using target = await open(fixture);
    expect(await meanDivergence(target, fixture)).toBeLessThan(CLOSE);
    expect(await meanDivergence(target, fixture, 1)).toBeLessThan(CLOSE);
  });

  test.each(parts[fixture.name] ?? [])("would not be without $what", async (without) => {
    await using target = await open(fixture, without);
    expect(await meanDivergence(target, fixture)).toBeGreaterThan(FAR);
  });

  test("is what the readable pass computes", async () => {
    const { path, contextLength, tokens, rows } = fixture;
    const reference = await ReferencePass.open(path, contextLength);
    const text = tokens.slice(0, 40);
    const tree = new DraftTree(tokens[40]!, 4);
    for (const token of tokens.slice(41, 44)) tree.push(tree.size - 1, token, 1);
    const exact = reference.rows(text, tree);
    for (const [node, { logits }] of exact.entries()) {
      expect(divergence(rows[40 + node]!, logits)).toBeLessThan(1e-4);
    }
    await using target = await open(fixture, {}, { cacheType: "f32" });
    await using sequence = await target.createSequence({ capacity: 64 });
    await sequence.prefill(text);
    const pass = await sequence.forward(tree, { topK: 0, logits: true });
    const rounded = reference.rows(text, tree, { int8Inputs: true });
    for (const [node, { logits }] of rounded.entries()) {
      expect(divergence(logits, pass.logits(node))).toBeLessThan(2e-3);
    }
  });

  test("gives the same bits in trees, in chunks, on any threads and instruction set", async () => {
    const { tokens } = fixture;
    await using one = await open(fixture);
    await using three = await open(fixture, {}, { threads: 3 });
    const others = [...isas.map((isa) => ({ isa, target: one })), { isa: best, target: three }];
    await checkBits(one, others, tokens, tokens.length - 20);
  });
});

describe.each([1, 2, 31, 32, 100, 127, 128, 129, 150])("a window of %i tokens", (window) => {
  const fixture = readArchitectures().find(({ name }) => name === "mistral")!;
  const windows = other("", { windows: [window, window + 1] });

  test("gives the same bits on both sides of a span's border", async () => {
    await using one = await open(fixture, windows);
    await using three = await open(fixture, windows, { threads: 3 });
    const others = [
      { isa: best, target: one },
      { isa: "generic", target: three },
    ];
    for (const cut of [128, 127, 120, 0]) await checkBits(one, others, fixture.tokens, cut);
  });
});
