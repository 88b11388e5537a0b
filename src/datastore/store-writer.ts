/**
 * @file Writes a datastore beside its place and moves it there when it is whole: however the work ends, there is the new file, or the old one, or
 * none. The header comes last.
 */

import { randomUUID } from "node:crypto";
import { rmSync } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { crc32 } from "node:zlib";
import { fill } from "../checkpoint/open-file.ts";
import { engine, type PassFailure } from "../engine/binding.ts";
import { EspalierError } from "../errors.ts";
import { encodeHeader, HEADER_BYTES, MOST_TOKENS, placesOf, type StoreHeader, tokenWidth } from "./format.ts";
import { readChecked, type StoreFile } from "./store-file.ts";

/** Tokens and suffixes that are written, and read, at once. */
const PIECE = 1 << 20;

export type StoreVocabulary = Pick<StoreHeader, "fingerprint" | "vocabSize">;

export class StoreWriter implements AsyncDisposable {
  readonly #out: string;
  readonly #path: string;
  readonly #file: FileHandle;
  readonly #vocabulary: StoreVocabulary;
  /** Tokens that wait to be written. */
  readonly #waiting: Uint16Array | Uint32Array;
  #waitingCount = 0;
  #count = 0;
  #documents = 0;
  #checksum = 0;

  /** Throws EspalierError "file-unwritable" or "disk-full". */
  static async create(out: string, vocabulary: StoreVocabulary): Promise<StoreWriter> {
    const path = `${out}.${randomUUID()}.part`;
    const file = await open(path, "wx+").catch((cause) => Promise.reject(writeError(out, cause)));
    const writer = new StoreWriter(out, path, file, vocabulary);
    try {
      await writer.#write(new Uint8Array(HEADER_BYTES));
    } catch (error) {
      await writer[Symbol.asyncDispose]();
      throw error;
    }
    writer.#checksum = 0;
    return writer;
  }

  private constructor(out: string, path: string, file: FileHandle, vocabulary: StoreVocabulary) {
    this.#out = out;
    this.#path = path;
    this.#file = file;
    this.#vocabulary = vocabulary;
    this.#waiting = tokenWidth(vocabulary.vocabSize) === 2 ? new Uint16Array(PIECE) : new Uint32Array(PIECE);
    process.once("exit", this.#removeAtExit);
  }

  get tokens(): number {
    return this.#count - this.#documents;
  }

  get documents(): number {
    return this.#documents;
  }

  /** Removes the file unless it is finished. */
  async [Symbol.asyncDispose](): Promise<void> {
    process.off("exit", this.#removeAtExit);
    await this.#file.close();
    await rm(this.#path, { force: true });
  }

  /** Appends tokens, borders among them, in which so many documents end. Throws EspalierError "disk-full", "file-unwritable" or "too-large". */
  async add(tokens: Int32Array, documents: number): Promise<void> {
    if (this.#count + tokens.length > MOST_TOKENS) {
      throw new EspalierError("too-large", `a datastore has at most ${MOST_TOKENS} tokens; build several`);
    }
    this.#count += tokens.length;
    this.#documents += documents;
    for (let at = 0; at < tokens.length; ) {
      const part = tokens.subarray(at, at + PIECE - this.#waitingCount);
      this.#waiting.set(part, this.#waitingCount);
      this.#waitingCount += part.length;
      at += part.length;
      if (this.#waitingCount === PIECE) await this.#flush();
    }
  }

  /** Appends all of another datastore of the same vocabulary. Throws EspalierError "bad-store" when it is damaged. */
  async addStore(store: StoreFile, signal?: AbortSignal): Promise<void> {
    const { path, vocabSize, count, documents } = store;
    const bad = () =>
      new EspalierError("bad-store", `${path}: its tokens are not those of documents; build it again`);
    const Tokens = tokenWidth(vocabSize) === 2 ? Uint16Array : Uint32Array;
    let left = count;
    let last = vocabSize;
    let borders = 0;
    await readChecked(
      store,
      async (piece) => {
        const tokens = Int32Array.from(
          new Tokens(
            piece.buffer as ArrayBuffer,
            piece.byteOffset,
            Math.min(left, piece.length / Tokens.BYTES_PER_ELEMENT),
          ),
        );
        left -= tokens.length;
        for (const token of tokens) {
          if (token < 0 || token > vocabSize) throw bad();
          if (token === vocabSize) borders++;
          last = token;
        }
        await this.add(tokens, 0);
      },
      signal,
    );
    if (last !== vocabSize || borders !== documents) throw bad();
    this.#documents += documents;
  }

  /**
   * Sorts the suffixes, writes what is missing and puts the file in its place. Gives its size in bytes. Throws EspalierError "out-of-memory",
   * "disk-full" or "file-unwritable", and the signal's reason.
   */
  async finish(signal?: AbortSignal, onSorted?: () => void): Promise<number> {
    await this.#flush();
    const header = { ...this.#vocabulary, count: this.#count, documents: this.#documents };
    const { suffixesAt, bytes } = placesOf(header);
    const suffixes = await this.#sort(signal);
    onSorted?.();
    await this.#write(
      new Uint8Array(suffixesAt - HEADER_BYTES - this.#count * this.#waiting.BYTES_PER_ELEMENT),
    );
    for (let at = 0; at < suffixes.length; at += PIECE) {
      signal?.throwIfAborted();
      const part = suffixes.subarray(at, at + PIECE);
      await this.#write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
    const start = encodeHeader({ ...header, checksum: this.#checksum });
    try {
      await this.#file.write(start, 0, start.length, 0);
      await this.#file.sync();
      await rename(this.#path, this.#out);
    } catch (cause) {
      throw writeError(this.#out, cause);
    }
    return bytes;
  }

  async #sort(signal: AbortSignal | undefined): Promise<Int32Array> {
    const abort = new Int32Array(1);
    const stop = () => {
      abort[0] = 1;
    };
    signal?.throwIfAborted();
    signal?.addEventListener("abort", stop);
    try {
      const tokens = await this.#readBack();
      const suffixes = new Int32Array(tokens.length);
      const alphabet = this.#vocabulary.vocabSize + 1;
      await engine().sortSuffixes({ tokens, alphabet, suffixes, abort });
      return suffixes;
    } catch (cause) {
      signal?.throwIfAborted();
      if (cause instanceof RangeError || (cause as PassFailure).code === "no-memory") {
        throw new EspalierError(
          "out-of-memory",
          `no memory to sort ${this.#count} tokens; build several datastores`,
          { cause },
        );
      }
      throw cause;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** All tokens, as they stand in the file. */
  async #readBack(): Promise<Int32Array> {
    const tokens = new Int32Array(this.#count);
    const room = this.#waiting;
    for (let at = 0; at < this.#count; at += PIECE) {
      const part = room.subarray(0, Math.min(PIECE, this.#count - at));
      const bytes = new Uint8Array(part.buffer, part.byteOffset, part.byteLength);
      if (!(await fill(this.#path, this.#file, bytes, HEADER_BYTES + at * room.BYTES_PER_ELEMENT))) {
        throw new EspalierError(
          "store-changed",
          `${this.#path} was changed while it was written; build it again`,
        );
      }
      tokens.set(part, at);
    }
    return tokens;
  }

  async #flush(): Promise<void> {
    const part = this.#waiting.subarray(0, this.#waitingCount);
    this.#waitingCount = 0;
    await this.#write(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
  }

  /** Behind what is there. */
  async #write(bytes: Uint8Array): Promise<void> {
    this.#checksum = crc32(bytes, this.#checksum);
    await this.#file.writeFile(bytes).catch((cause) => Promise.reject(writeError(this.#out, cause)));
  }

  readonly #removeAtExit = () => rmSync(this.#path, { force: true });
}

function writeError(out: string, cause: unknown): EspalierError {
  const { code, message } = cause as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT") {
    return new EspalierError("disk-full", `no room to write ${out}`, { cause });
  }
  return new EspalierError("file-unwritable", `${out} cannot be written: ${message}`, { cause });
}
