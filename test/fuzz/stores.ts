/**
 * @file Mutated datastores. Half of them get checksums that are right again, so that it is the queries that meet what they hold. Whatever is found must be
 * a trie, as a drafter relies on it.
 */

import { openDatastore } from "../../src/datastore/datastore.ts";
import type { Continuations } from "../../src/draft/continuations.ts";
import { signed, storeBytes } from "../store-bytes.ts";
import { nastyInteger } from "./bytes.ts";
import type { Chance } from "./chance.ts";

const HEADER = 128;
/** Numbers of the header: version, width, vocabulary, tokens, documents, checksum; and one of the fingerprint. */
const FIELDS = [8, 12, 16, 20, 24, 28, 40];
const VOCABULARIES = [4, 90_000];

function validStore(chance: Chance): Buffer {
  const documents = Array.from({ length: chance.below(6) }, () =>
    Array.from({ length: chance.below(80) }, () => chance.below(4)),
  );
  return storeBytes({ documents, vocabSize: chance.of(VOCABULARIES) });
}

type StoreMutation = (file: Buffer, chance: Chance) => Buffer;

const field: StoreMutation = (file, chance) => {
  const at = chance.of(FIELDS);
  const value = nastyInteger(chance, BigInt(file.readUInt32LE(at)));
  file.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
  return file;
};

/** Tokens or suffixes. */
const number: StoreMutation = (file, chance) => {
  const words = Math.floor((file.length - HEADER) / 4);
  for (let left = 1 + chance.below(8); left > 0 && words > 0; left--) {
    const at = HEADER + 4 * chance.below(words);
    const other = file.readUInt32LE(HEADER + 4 * chance.below(words));
    const value = chance.once(2) ? BigInt(other) : nastyInteger(chance, BigInt(file.readUInt32LE(at)));
    file.writeUInt32LE(Number(BigInt.asUintN(32, value)), at);
  }
  return file;
};

const bytes: StoreMutation = (file, chance) => {
  for (let left = 1 + chance.below(4); left > 0; left--) file[chance.below(file.length)] = chance.below(256);
  return file;
};

const noise: StoreMutation = (file, chance) =>
  Buffer.concat([file.subarray(0, HEADER), chance.bytes(file.length - HEADER)]);

const length: StoreMutation = (file, chance) =>
  chance.once(2)
    ? file.subarray(0, chance.below(file.length))
    : Buffer.concat([file, chance.bytes(chance.below(200))]);

const mutations: readonly StoreMutation[] = [field, number, number, bytes, noise, length];

export function mutatedStore(chance: Chance): Buffer {
  let file = Buffer.from(validStore(chance));
  for (let left = 1 + chance.below(2); left > 0; left--) {
    if (file.length > HEADER) file = chance.of(mutations)(file, chance) as Buffer<ArrayBuffer>;
  }
  return file.length >= HEADER && !chance.once(4) ? signed(file) : file;
}

/** Opens the store and asks what follows all pairs of its tokens. Throws what opening and asking throw, and Error where an answer is no trie. */
export async function askStore(path: string): Promise<void> {
  await using store = await openDatastore(path);
  const limits = { longest: 5, shortest: 1, places: 50, depth: 7, nodes: 40 };
  for (let pair = 0; pair < 25; pair++) {
    const context = [pair % 3, 4, 0, 1, Math.floor(pair / 5), pair % 5];
    check(store.match(context), store.vocabSize, 64);
    check(store.match(context, limits), store.vocabSize, 40);
  }
}

function check({ matched, hits, tokens, parents, counts }: Continuations, vocabSize: number, most: number) {
  const seen = new Set<string>();
  const right = [...tokens.keys()].every((node) => {
    const [token, parent, count] = [tokens[node]!, parents[node]!, counts[node]!];
    const isNew = !seen.has(`${parent} ${token}`);
    seen.add(`${parent} ${token}`);
    const above = parent < 0 ? hits : counts[parent]!;
    return (
      isNew &&
      token >= 0 &&
      token < vocabSize &&
      parent >= -1 &&
      parent < node &&
      count >= 1 &&
      count <= above
    );
  });
  const sizes = [tokens.length, parents.length, counts.length];
  if (
    !right ||
    sizes.some((size) => size !== tokens.length || size > most) ||
    tokens.length > 0 !== matched > 0
  ) {
    throw new Error("a store was answered with what is no trie");
  }
}
