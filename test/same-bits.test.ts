/**
 * @file Same bits: a row depends on its text alone. Whatever shares a pass with it, however the text was read, on any
 * number of threads and with any instruction set, its top tokens, log-probabilities, logits and hidden states are those
 * of plain decoding, byte for byte.
 */

import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { engine, selectIsa } from "../src/engine/binding.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { numbers, openTarget, randomLlama, randomTokens, withGguf } from "./native-model.ts";
import { checkRow, everything, plainRows, plainTree, randomPart, randomTree, readOne } from "./same-bits.ts";
import { describeWithSmollm2 } from "./smollm2.ts";
import type { TinyLlama } from "./tiny-llama.ts";

/** A run under sanitizers does less of the same. */
const few = process.env.ESPALIER_TESTS === "few";

const SHAPES: readonly Partial<TinyLlama>[] = [
  { matrixType: "Q4_1", hiddenSize: 96, heads: 3, kvHeads: 3, feedForwardSize: 160, vocabSize: 519 },
  { matrixType: "Q4_0", hiddenSize: 384, heads: 6, kvHeads: 2, feedForwardSize: 96, vocabSize: 40 },
  {
    matrixType: "Q8_0",
    hiddenSize: 224,
    heads: 7,
    kvHeads: 1,
    feedForwardSize: 352,
    vocabSize: 1037,
    tiedHead: false,
  },
  { matrixType: "Q8_0", hiddenSize: 288, heads: 3, kvHeads: 3, feedForwardSize: 64, vocabSize: 300 },
  {
    matrixType: "Q4_0",
    hiddenSize: 384,
    heads: 3,
    kvHeads: 1,
    feedForwardSize: 224,
    vocabSize: 515,
    tiedHead: false,
  },
  { matrixType: "Q4_1", hiddenSize: 448, heads: 7, kvHeads: 1, feedForwardSize: 480, vocabSize: 17 },
];
/** Lengths of text from whose ends trees reach over borders of tiles (16, 32) and spans (128), longest first. */
const LENGTHS = few ? [257, 127, 0] : [300, 257, 256, 255, 250, 129, 128, 127, 100, 33, 32, 31, 16, 15, 1, 0];

const isas = engine()
  .isas()
  .filter(({ usable }) => usable)
  .map(({ name }) => name);
const best = engine().currentIsa();

interface Variant {
  readonly isa: string;
  readonly threads: number;
}
const variants: readonly Variant[] = [
  ...isas.map((isa) => ({ isa, threads: 1 })),
  { isa: best, threads: 2 },
  { isa: best, threads: 3 },
  { isa: isas.at(-1)!, threads: 3 },
];

/** One model on one, two and three threads. */
interface Bench {
  readonly targets: readonly NativeTarget[];
  readonly truth: NativeTarget;
  of(variant: Variant): NativeTarget;
}

async function openBench(path: string, cacheType: "i16" | "f32"): Promise<Bench> {
  const targets: NativeTarget[] = [];
  for (const threads of [1, 2, 3]) targets.push(await openTarget(path, { threads, cacheType }));
  return {
    targets,
    truth: targets[0]!,
    of({ isa, threads }) {
      selectIsa(engine(), isa);
      return targets[threads - 1]!;
    },
  };
}

const close = async (bench: Bench) => {
  for (const target of bench.targets) await target[Symbol.asyncDispose]();
};

afterEach(() => selectIsa(engine(), best));

it("has the portable instruction set to compare with, and takes the best by itself", () => {
  expect(isas).toContain("generic");
  if (!process.env.ESPALIER_ISA) expect(best).toBe(isas[0]);
});

const shapes = few ? SHAPES.slice(1, 3) : SHAPES;
const cases = shapes.flatMap((shape, i) =>
  // Both kinds of cache with every second shape, and in turn with the others.
  (["i16", "f32"] as const).flatMap((cacheType, j) =>
    i % 2 === 1 || (i / 2 + j) % 2 === 0 ? [{ shape, cacheType, seed: 10 * i + j }] : [],
  ),
);

describe.each(cases)(
  "same bits, $shape.matrixType, hidden $shape.hiddenSize, $shape.heads heads over $shape.kvHeads, cache $cacheType",
  ({ shape, cacheType, seed }) => {
    const next = numbers(seed);
    const vocabSize = shape.vocabSize!;
    const text = randomTokens(next, vocabSize, few ? 260 : 300);
    let bench: Bench;

    beforeAll(async () => {
      bench = await withGguf(randomLlama(shape, seed), (path) => openBench(path, cacheType));
    });
    afterAll(() => close(bench));

    it("in trees of every size up to 64, at every place", async () => {
      const want = everything(bench.truth);
      const prompt = text.slice(0, 21);
      const tree = randomTree(next, vocabSize, 64);
      const open = async (target: NativeTarget) => {
        const sequence = await target.createSequence({ capacity: 128 });
        await sequence.prefill(prompt);
        return sequence;
      };
      await using plain = await open(bench.truth);
      const rows = await plainTree(plain, tree, want);
      for (const [i, variant] of variants.entries()) {
        await using sequence = await open(bench.of(variant));
        // Every size with the first, and every third with each of the others.
        const step = few ? 13 : i === 0 ? 1 : 3;
        for (let size = 1 + (i % step); size <= 64; size += step) {
          const { part, nodes } = randomPart(next, tree, size);
          const pass = await sequence.forward(part, want);
          for (const [at, node] of nodes.entries()) {
            checkRow(pass, at, want, rows[node]!, () => `${size} nodes, ${JSON.stringify(variant)}`);
          }
          sequence.rollback();
        }
      }
    });

    it("in a text that is read in any chunks", async () => {
      const want = everything(bench.truth);
      const rows = await plainRows(bench.truth, text, want);
      const chunkings: readonly (() => number)[] = [
        ...[1, 3, 16, 17, 64, 128, 300].map((size) => () => size),
        () => 1 + next(40),
        () => 1 + next(200),
      ];
      for (const [i, chunk] of (few ? chunkings.slice(3, 5) : chunkings).entries()) {
        const variant = variants[i % variants.length]!;
        await using sequence = await bench.of(variant).createSequence({ capacity: text.length });
        while (sequence.length < text.length) {
          const from = sequence.length;
          await sequence.prefill(text.slice(from, from + chunk()), {
            want,
            onChunk: ({ pass, done }) => {
              for (let row = 0; row < pass.size; row++) {
                const at = from + done - pass.size + row;
                checkRow(pass, row, want, rows[at]!, () => `position ${at}, ${JSON.stringify(variant)}`);
              }
            },
          });
        }
      }
    });

    it("where a tree reaches over the border of a tile or a span", async () => {
      const want = everything(bench.truth);
      const sequences = await Promise.all(
        bench.targets.map(async (target) => {
          const sequence = await target.createSequence({ capacity: 400 });
          await sequence.prefill(text);
          return sequence;
        }),
      );
      for (const length of LENGTHS) {
        for (const sequence of sequences) sequence.truncate(length);
        const tree = randomTree(next, vocabSize, 40, 6);
        const rows = await plainTree(sequences[0]!, tree, want);
        for (const variant of variants) {
          bench.of(variant);
          const sequence = sequences[variant.threads - 1]!;
          for (const size of [2, 40]) {
            const { part, nodes } = randomPart(next, tree, size);
            const pass = await sequence.forward(part, want);
            for (const [at, node] of nodes.entries()) {
              const what = () => `${size} nodes behind ${length} tokens, ${JSON.stringify(variant)}`;
              checkRow(pass, at, want, rows[node]!, what);
            }
            sequence.rollback();
          }
        }
        selectIsa(engine(), best);
      }
      for (const sequence of sequences) await sequence[Symbol.asyncDispose]();
    });

    it("when several texts share a pass, also after commits", async () => {
      const want = everything(bench.truth);
      const starts = [0, 126, 5, 130, 1];
      const open = (target: NativeTarget) =>
        Promise.all(
          starts.map(async (length, i) => {
            const sequence = await target.createSequence({ capacity: 300 });
            await sequence.prefill(text.slice(i, i + length));
            return sequence;
          }),
        );
      for (const variant of few ? variants.slice(-1) : variants) {
        selectIsa(engine(), best);
        const alone = await open(bench.truth);
        const together = await open(bench.of(variant));
        for (let round = 0; round < 3; round++) {
          const trees = starts.map((_, i) => randomTree(next, vocabSize, [1, 9, 2, 16, 5][(i + round) % 5]!));
          selectIsa(engine(), best);
          const rows: Buffer[][] = [];
          for (const [i, tree] of trees.entries()) rows.push(await plainTree(alone[i]!, tree, want));
          const passes = await bench.of(variant).forwardAll(
            trees.map((tree, i) => ({ sequence: together[i]!, tree, pick: want.pick })),
            want,
          );
          for (const [i, pass] of passes.entries()) {
            for (let node = 0; node < pass.size; node++) {
              const what = () => `text ${i}, round ${round}, ${JSON.stringify(variant)}`;
              checkRow(pass, node, want, rows[i]![node]!, what);
            }
          }
          selectIsa(engine(), best);
          for (const [i, tree] of trees.entries()) {
            const path = tree.path(next(tree.size));
            together[i]!.commit(path);
            await alone[i]!.prefill(path.map((node) => tree.tokens[node]!));
          }
        }
        for (const sequence of [...alone, ...together]) await sequence[Symbol.asyncDispose]();
      }
    });

    it("after commits, rollbacks and cuts in any order", async () => {
      const want = everything(bench.truth);
      const variant = variants.at(-1)!;
      await using sequence = await bench.of(variant).createSequence({ capacity: 400 });
      const committed: number[] = [];
      for (let round = 0; round < (few ? 6 : 24); round++) {
        const what = next(4);
        if (what === 0) {
          const tokens = randomTokens(next, vocabSize, next(60));
          await sequence.prefill(tokens);
          committed.push(...tokens);
        } else if (what === 1) {
          committed.length = Math.max(0, committed.length - next(50));
          sequence.truncate(committed.length);
        } else {
          const tree = randomTree(next, vocabSize, 1 + next(30), 4);
          await sequence.forward(tree, { topK: 0 });
          if (what === 2) {
            const path = tree.path(next(tree.size));
            sequence.commit(path);
            committed.push(...path.map((node) => tree.tokens[node]!));
          } else if (next(2) > 0) sequence.rollback();
        }
        expect(sequence.length).toBe(committed.length);
        if (committed.length > 300) committed.length = 300;
        sequence.truncate(committed.length);
      }
      const probe = await readOne(sequence, 1, want);
      selectIsa(engine(), best);
      const rows = await plainRows(bench.truth, [...committed, 1], want);
      checkRow(probe, 0, want, rows.at(-1)!, () => `${committed.length} tokens`);
    });
  },
);

describeWithSmollm2("same bits, SmolLM2", (path) => {
  const next = numbers(7);
  let bench: Bench;

  beforeAll(async () => {
    bench = await openBench(path, "i16");
  });
  afterAll(() => close(bench));

  it("in trees over a span's border, and in prompts read in chunks", async () => {
    const { truth } = bench;
    const want = everything(truth);
    const text = randomTokens(next, truth.vocabSize, few ? 6 : 133);
    const rows = await plainRows(truth, text, want);
    const tree = randomTree(next, truth.vocabSize, few ? 6 : 24, 6);
    const cut = Math.max(0, text.length - 12);
    await using plain = await truth.createSequence({ capacity: 200 });
    await plain.prefill(text.slice(0, cut));
    const treeRows = await plainTree(plain, tree, want);
    for (const [i, variant] of variants.entries()) {
      await using sequence = await bench.of(variant).createSequence({ capacity: 200 });
      const chunk = [128, 17, 64, 3, 100, 140][i % 6]!;
      while (sequence.length < text.length) {
        const from = sequence.length;
        await sequence.prefill(text.slice(from, from + chunk), {
          want,
          onChunk: ({ pass, done }) => {
            for (let row = 0; row < pass.size; row++) {
              const at = from + done - pass.size + row;
              checkRow(pass, row, want, rows[at]!, () => `position ${at}, ${JSON.stringify(variant)}`);
            }
          },
        });
      }
      sequence.truncate(cut);
      for (const size of [1, 2, 3, 8, 9, tree.size]) {
        // The portable instruction set takes its time.
        if (size > tree.size || (variant.isa === "generic" && size % 3 === 2)) continue;
        const { part, nodes } = randomPart(next, tree, size);
        const pass = await sequence.forward(part, want);
        for (const [at, node] of nodes.entries()) {
          checkRow(pass, at, want, treeRows[node]!, () => `${size} nodes, ${JSON.stringify(variant)}`);
        }
        sequence.rollback();
      }
    }
  });
});
