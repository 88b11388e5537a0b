import type { RetrievalSource } from "../src/draft/continuations.ts";
import { EspalierError } from "../src/errors.ts";
import type { LengthPredictor } from "../src/target/length-predictor.ts";
import { type ToyOptions, ToyTarget } from "../src/target/toy.ts";
import { describeLossless } from "./lossless-contract.ts";
import { ToyExit, ToyHead } from "./toy-head.ts";
import { raggedTokenizer, toyModel } from "./toy-model.ts";

const KINDS: readonly ToyOptions[] = [
  { order: 1, longRange: 0, seed: 1 },
  { order: 2, seed: 2 },
  { order: 2, longRange: 0.1, levels: 1, seed: 3 },
  { order: 3, longRange: 0.6, sharpness: 2, vocabSize: 24, seed: 4 },
];

const passTimes = [
  { rows: 1, ms: 10 },
  { rows: 8, ms: 12 },
  { rows: 64, ms: 40 },
];

/** Says any length, 0 too, and asks for hidden states that the head asks for as well. */
const lengths: LengthPredictor = {
  taps: [0, 2],
  longest: 5,
  predict: (embedding, last) => (embedding[1]! + last[0]!) % 6,
};

/** Says now and then what may be true, and goes away in the middle of a text. */
const datastore: RetrievalSource = {
  fingerprint: "",
  match(context) {
    const newest = context[context.length - 1]!;
    if (newest % 11 === 3) throw new EspalierError("store-changed", "the store was changed");
    const tokens = Int32Array.of(newest, (newest + 1) % 24, (5 * newest) % 24, (newest + 2) % 24);
    return {
      matched: 2,
      hits: 9,
      tokens,
      parents: Int32Array.of(-1, 0, -1, 1),
      counts: Int32Array.of(5, 4, 3, 2),
    };
  },
};

describeLossless("toy target", {
  models: KINDS.flatMap((kind) => [
    async () => toyModel(kind, { tokenizer: raggedTokenizer }),
    async () => toyModel(kind, { endTokens: [], passTimes }),
    // Drafts of a model that often agrees and runs out of context sooner, and of one that never does agree.
    async () => toyModel(kind, { draftModel: new ToyTarget({ ...kind, longRange: 0, contextLength: 50 }) }),
    async () => toyModel(kind, { draftModel: new ToyTarget({ ...kind, seed: 9 }), passTimes }),
    // The same of exit blocks.
    async () => toyModel(kind, { exit: new ToyExit(new ToyTarget({ ...kind, order: 1 })), endTokens: [] }),
    async () =>
      toyModel(kind, { exit: new ToyExit(new ToyTarget({ ...kind, seed: 9 }), { maxNodes: 20 }), passTimes }),
    async () => toyModel(kind, { head: new ToyHead(new ToyTarget(kind)), datastore, endTokens: [] }),
    // A head that is often right, and one that is not.
    async () => toyModel(kind, { head: new ToyHead(new ToyTarget({ ...kind, order: 1 })), lengths }),
    async () =>
      toyModel(kind, { head: new ToyHead(new ToyTarget({ ...kind, seed: 9 }), { maxNodes: 20 }), passTimes }),
  ]),
  runs: 150,
  longestPrompt: 24,
  longestText: 40,
});
