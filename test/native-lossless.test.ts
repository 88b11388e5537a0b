/** @file Drafted text is plain text, on the native engine with random models. */

import { fileURLToPath } from "node:url";
import { loadModel } from "../src/engine/load.ts";
import { Model } from "../src/session/model.ts";
import { copiedExit } from "./exit-writer.ts";
import { describeLossless } from "./lossless-contract.ts";
import { nativeTarget, randomLlama, withGguf } from "./native-model.ts";
import { raggedTokenizer } from "./toy-model.ts";

// A tied head makes texts that repeat themselves, so that drafts are accepted; a separate one makes wild ones.
const KINDS = [
  { shape: { heads: 2, kvHeads: 1, vocabSize: 47 }, threads: 1 },
  { shape: { heads: 2, kvHeads: 2, vocabSize: 33, tiedHead: false, matrixType: "Q8_0" }, threads: 2 },
  { shape: { hiddenSize: 96, heads: 3, kvHeads: 1, vocabSize: 64, matrixType: "Q4_0" }, threads: 1 },
] as const;

const HEADS = ["eagle-fused.gguf", "eagle-1.gguf"];
const fixture = (name: string) => fileURLToPath(new URL(`fixtures/heads/${name}`, import.meta.url));

/** Blocks that are the target's last layer: behind layer 5 of 8 it is right now and then, behind layer 7 always. */
const EXITS = [
  [5, [...Array(200).keys()]],
  [7, undefined],
] as const;

async function withExit(exitLayer: number, draftVocab: readonly number[] | undefined) {
  const file = await copiedExit(fixture("target.gguf"), { exitLayer, ...(draftVocab && { draftVocab }) });
  return await withGguf(file, (exit) => loadModel(fixture("target.gguf"), { exit, threads: 2 }));
}

/** The same weights in one layer fewer, so that it is right now and then. */
const draftModel = (shape: (typeof KINDS)[number]["shape"], seed: number) =>
  nativeTarget(
    randomLlama({ ...shape, layers: 1 }, seed),
    seed === 0 ? { threads: 1, layerBytes: 0 } : { threads: 1 },
  );

describeLossless("native engine", {
  models: [
    ...KINDS.map(({ shape, threads }, i) => async () => {
      return new Model({
        name: `random ${i}`,
        target: await nativeTarget(randomLlama(shape, i), {
          threads,
          cacheType: i === 1 ? "f32" : "i16",
        }),
        tokenizer: raggedTokenizer,
        endTokens: i === 0 ? [] : [0],
        ...(i === 2 ? {} : { draftModel: await draftModel(shape, i) }),
      });
    }),
    ...EXITS.map(
      ([layer, draftVocab]) =>
        () =>
          withExit(layer, draftVocab),
    ),
    ...HEADS.map((head) => () => loadModel(fixture("target.gguf"), { head: fixture(head), threads: 2 })),
  ],
  runs: process.env.ESPALIER_TESTS === "few" ? 8 : 100,
  longestPrompt: 150,
  longestText: 40,
});
