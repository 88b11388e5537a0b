/**
 * @file A datastore that is open: its file is mapped, not read into memory, and asked in native code that trusts nothing in it. Its checksum
 * is compared once, when it is opened.
 */

import type { Continuations, RetrievalLimits, RetrievalSource } from "../draft/continuations.ts";
import { type Binding, engine, matchStatus, type PassFailure, type Store } from "../engine/binding.ts";
import { EspalierError } from "../errors.ts";
import type { TokenId } from "../types.ts";
import { HEADER_BYTES, placesOf, type StoreHeader, tokenWidth } from "./format.ts";
import { changed, openStoreFile, readChecked } from "./store-file.ts";

/** By the names of {@link RetrievalLimits}, in the order in which the engine takes them: default, and largest. */
const LIMITS = {
  longest: [16, 64],
  shortest: [2, 64],
  places: [5000, 100_000],
  depth: [10, 64],
  nodes: [64, 1024],
} as const;
const DEFAULTS = Int32Array.from(Object.values(LIMITS), ([usual]) => usual);

/**
 * Opens a datastore, to be asked with tokens of the vocabulary with this fingerprint (`Tokenizer.fingerprint`; default: whichever it has). Reads the file
 * once to compare its checksum; afterwards only the pages that queries touch are in memory. Throws EspalierError "file-not-found",
 * "file-unreadable", "bad-store", "other-vocabulary" or "out-of-memory".
 */
export async function openDatastore(path: string, fingerprint?: string): Promise<Datastore> {
  const opened = await openStoreFile(path, fingerprint);
  try {
    const store = new Datastore(engine(), opened);
    try {
      await readChecked(opened);
    } catch (error) {
      store.close();
      throw error;
    }
    return store;
  } finally {
    await opened.file.close();
  }
}

export class Datastore implements RetrievalSource, AsyncDisposable {
  readonly path: string;
  readonly fingerprint: string;
  readonly vocabSize: number;
  readonly documents: number;
  /** Of all documents together. */
  readonly tokens: number;
  /** Of the file. */
  readonly bytes: number;
  readonly #binding: Binding;
  #store: Store | undefined;
  readonly #found = new Int32Array(3 + 3 * LIMITS.nodes[1]);

  /** For {@link openDatastore}. */
  constructor(
    binding: Binding,
    {
      path,
      fingerprint,
      vocabSize,
      count,
      documents,
      bytes,
    }: StoreHeader & { readonly path: string; readonly bytes: number },
  ) {
    this.path = path;
    this.fingerprint = fingerprint;
    this.vocabSize = vocabSize;
    this.documents = documents;
    this.tokens = count - documents;
    this.bytes = bytes;
    this.#binding = binding;
    const { suffixesAt } = placesOf({ vocabSize, count });
    const width = tokenWidth(vocabSize);
    try {
      this.#store = binding.openStore({
        path,
        bytes,
        tokensAt: HEADER_BYTES,
        suffixesAt,
        count,
        width,
        vocab: vocabSize,
      });
    } catch (cause) {
      if ((cause as PassFailure).code === "no-memory")
        throw new EspalierError("out-of-memory", `${path} cannot be mapped into memory`, { cause });
      throw changed(path, cause);
    }
  }

  match(context: ArrayLike<TokenId>, limits?: RetrievalLimits): Continuations {
    if (this.#store === undefined) throw new TypeError(`the datastore ${this.path} was closed`);
    const values = limits === undefined ? DEFAULTS : readLimits(limits);
    const length = Math.min(context.length, values[0]!);
    if (length === 0) return nothing;
    const tail = new Int32Array(length);
    for (let i = 0; i < length; i++) tail[i] = context[context.length - length + i]!;
    const found = this.#found;
    const status = this.#binding.matchStore(this.#store, tail, values, found);
    if (status === matchStatus.changed) throw changed(this.path);
    if (status !== matchStatus.ok) {
      throw new EspalierError("bad-store", `${this.path}: its suffixes are in no order; build it again`);
    }
    const size = found[2]!;
    return {
      matched: found[0]!,
      hits: found[1]!,
      tokens: found.slice(3, 3 + size),
      parents: found.slice(3 + size, 3 + 2 * size),
      counts: found.slice(3 + 2 * size, 3 + 3 * size),
    };
  }

  /** Lets go of the file. */
  close(): void {
    if (this.#store !== undefined) this.#binding.release(this.#store);
    this.#store = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close();
  }
}

const none = new Int32Array(0);
const nothing: Continuations = { matched: 0, hits: 0, tokens: none, parents: none, counts: none };

function readLimits(limits: RetrievalLimits): Int32Array {
  const values = Object.entries(LIMITS).map(([name, [usual, most]]) => {
    const value = limits[name as keyof typeof LIMITS] ?? usual;
    if (!Number.isInteger(value) || value < 1 || value > most) {
      throw new RangeError(`${name} is ${value}; give an integer from 1 to ${most}`);
    }
    return value;
  });
  if (values[1]! > values[0]!) {
    throw new RangeError(
      `shortest is ${values[1]} and longest ${values[0]}; shortest may not be above longest`,
    );
  }
  return Int32Array.from(values);
}
