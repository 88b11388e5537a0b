/**
 * @file Mutated files of what methods have learnt, and of what passes took. Most get checksums that are right again, so that it is what they hold that is judged.
 * A model that starts with one has tokens of its vocabulary alone in its matrix, and writes what plain decoding writes.
 */

import { crc32 } from "node:zlib";
import { valuesOf } from "../../src/draft/learnt.ts";
import { RECYCLE_WIDTH, RecycleMatrix } from "../../src/draft/recycle.ts";
import { RetrievalOdds } from "../../src/draft/retrieval-odds.ts";
import { readCosts } from "../../src/engine/kept-costs.ts";
import type { Model } from "../../src/session/model.ts";
import { encodeState } from "../../src/session/state-file.ts";
import { collect, toyModel, toyTokenizer } from "../toy-model.ts";
import { nastyInteger } from "./bytes.ts";
import type { Chance } from "./chance.ts";

const METHOD = "recycle-lookup";
const VOCAB = 48;
const HEADER = 40;

function validState(chance: Chance): Buffer {
  const matrix = new RecycleMatrix(VOCAB);
  const odds = new RetrievalOdds();
  for (let token = 0; token < VOCAB; token++) {
    const first = chance.below(VOCAB);
    for (let rank = 0; rank < chance.below(RECYCLE_WIDTH + 1); rank++)
      matrix.rows[token * RECYCLE_WIDTH + rank] = (first + rank) % VOCAB;
  }
  for (let i = 0; i < 100; i++) {
    odds.observe(chance.below(odds.probs.length), chance.once(2));
    matrix.odds.observe(chance.below(matrix.odds.probs.length), chance.once(2));
  }
  return Buffer.from(encodeState(toyTokenizer.fingerprint, valuesOf({ ...matrix.learnt, ...odds.learnt })));
}

function validCosts(chance: Chance): Buffer {
  const rows = [1, 2, 4, 8, 16, 32].slice(0, 1 + chance.below(6));
  const kept = new Map<string, Int32Array | Float64Array>([
    ["pass.rows", Int32Array.from(rows)],
    ["pass.ms", Float64Array.from(rows, (count) => (count + chance.below(100)) / 16)],
    ["pass.per-token", Float64Array.from(rows, (count) => (count + chance.below(100)) / 65536)],
    ["pass.measured", Float64Array.of(1e12)],
    ["draft.questions", Float64Array.of((1 + chance.below(100)) / 16, (1 + chance.below(100)) / 16)],
  ]);
  return Buffer.from(encodeState(toyTokenizer.fingerprint, kept));
}

type StateMutation = (file: Buffer, chance: Chance) => Buffer;

/** Where a memory begins: its kind, count and length of name. */
function entriesOf(file: Buffer): number[] {
  const found: number[] = [];
  for (let at = HEADER; at + 12 < file.length - 4; ) {
    found.push(at);
    const bytes = file.readUInt32LE(at) === 0 ? 4 : 8;
    at += 12 + file.readUInt32LE(at + 8) + bytes * file.readUInt32LE(at + 4);
  }
  return found;
}

const field: StateMutation = (file, chance) => {
  const at = chance.of([4, 8, ...entriesOf(file).flatMap((entry) => [entry, entry + 4, entry + 8])]);
  file.writeUInt32LE(Number(BigInt.asUintN(32, nastyInteger(chance, BigInt(file.readUInt32LE(at))))), at);
  return file;
};

/** A token, or half of a count. */
const number: StateMutation = (file, chance) => {
  for (let left = 1 + chance.below(8); left > 0; left--) {
    const at = HEADER + 4 * chance.below(Math.floor((file.length - HEADER - 4) / 4));
    const value = nastyInteger(chance, BigInt(file.readUInt32LE(at)));
    file.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
  }
  return file;
};

/** A token near those that there are, in place of one of the matrix, which comes first. */
const token: StateMutation = (file, chance) => {
  const at = HEADER + 12 + "recycle.matrix".length + 4 * chance.below(VOCAB * RECYCLE_WIDTH);
  file.writeInt32LE(chance.below(VOCAB + 4) - 2, at);
  return file;
};

const length: StateMutation = (file, chance) =>
  chance.once(2)
    ? file.subarray(0, chance.below(file.length))
    : Buffer.concat([file, chance.bytes(chance.below(200))]);

const mutations: readonly StateMutation[] = [field, field, number, length];

export function mutatedState(chance: Chance): Buffer {
  return mutated(validState(chance), [...mutations, token, token], chance);
}

export function mutatedCosts(chance: Chance): Buffer {
  return mutated(validCosts(chance), mutations, chance);
}

function mutated(valid: Buffer, ways: readonly StateMutation[], chance: Chance): Buffer {
  const file = chance.of(ways)(valid, chance);
  if (file.length >= HEADER && !chance.once(8))
    file.writeUInt32LE(crc32(file.subarray(0, -4)), file.length - 4);
  return file;
}

/** Starts a model with the times in the file. Throws what reading throws, and Error where they did harm. */
export async function useCosts(path: string): Promise<void> {
  const { passes: passTimes, questions: questionCosts } = await readCosts(path, toyTokenizer.fingerprint);
  await writesPlainText(toyModel({ order: 1 }, { endTokens: [], passTimes, questionCosts }));
}

/** Starts a model with the file. Throws what loading throws, and Error where it did harm. */
export async function useState(path: string): Promise<void> {
  const model = toyModel({ order: 1 }, { endTokens: [] });
  await model.loadState(path, METHOD);
  const { values } = model.method(METHOD).method.learnt!["recycle.matrix"]!;
  if (values.some((token) => token < -1 || token >= VOCAB)) throw new Error("a token of no vocabulary");
  await writesPlainText(model);
}

async function writesPlainText(model: Model): Promise<void> {
  const [drafted, plain] = await Promise.all(
    [METHOD, "plain"].map((method) => collect(model.generate({ tokens: [1, 2, 3], method, maxTokens: 12 }))),
  );
  if (drafted!.text !== plain!.text) throw new Error("another text than plain decoding's");
}
