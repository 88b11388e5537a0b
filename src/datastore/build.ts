/** @file Builds datastores: documents are read, tokenized on several threads, and written in their order; then their suffixes are sorted. */

import { availableParallelism } from "node:os";
import { fill, openFile } from "../checkpoint/open-file.ts";
import { EspalierError } from "../errors.ts";
import { fingerprint } from "../text/fingerprint.ts";
import type { EncoderParts } from "./document-encoder.ts";
import { findFiles, readParts, type SourceFile } from "./documents.ts";
import { EncoderPool } from "./encoder-pool.ts";
import { HEADER_BYTES, isStore } from "./format.ts";
import { openStoreFile } from "./store-file.ts";
import { type StoreVocabulary, StoreWriter } from "./store-writer.ts";

export interface BuildProgress {
  readonly stage: "tokens" | "suffixes" | "write";
  /** Bytes of the documents, of which so many have been tokenized. */
  readonly bytes: number;
  readonly of: number;
  readonly tokens: number;
}

export interface BuildOptions {
  /** Ends the work: its reason is thrown. */
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: BuildProgress) => void) | undefined;
  /** That tokenize, 1 to 64; default: as many as this process may use. The result is the same. */
  readonly threads?: number | undefined;
}

export interface BuildResult {
  readonly path: string;
  readonly tokens: number;
  readonly documents: number;
  /** Of the file. */
  readonly bytes: number;
  /** Files that were read, and those in folders that were not, since they are not text. */
  readonly files: number;
  readonly skipped: number;
  /** Of the documents. */
  readonly sourceBytes: number;
  readonly tokenizeMs: number;
  readonly sortMs: number;
  readonly totalMs: number;
}

/**
 * Writes a datastore of files and of all files in folders to `out`, which is replaced when it is one already; all of the datastores `stores` come first. Throws EspalierError:
 * what is wrong with a file ("file-not-found", "file-unreadable", "bad-documents") or a store ("bad-store", "other-vocabulary"), "file-unwritable", "disk-full",
 * "out-of-memory" or "too-large". However it ends but well, `out` is as it was and nothing is left beside it.
 */
export async function buildDatastore(
  out: string,
  {
    parts,
    inputs,
    stores = [],
  }: { parts: EncoderParts; inputs: readonly string[]; stores?: readonly string[] },
  options: BuildOptions = {},
): Promise<BuildResult> {
  const files = await findFiles(inputs);
  const vocabulary = { fingerprint: fingerprint(parts.spec.tokens), vocabSize: parts.spec.tokens.length };
  return await write(out, vocabulary, stores, { files, parts }, options);
}

/** Writes a datastore of all that is in `stores`, at least one; see {@link buildDatastore}. */
export async function mergeDatastores(
  out: string,
  stores: readonly string[],
  options: BuildOptions = {},
): Promise<BuildResult> {
  const first = await openStoreFile(stores[0]!);
  await first.file.close();
  return await write(out, first, stores, undefined, options);
}

async function write(
  out: string,
  { fingerprint, vocabSize }: StoreVocabulary,
  stores: readonly string[],
  documents: { readonly files: readonly SourceFile[]; readonly parts: EncoderParts } | undefined,
  options: BuildOptions,
): Promise<BuildResult> {
  const { signal, onProgress } = options;
  const start = performance.now();
  await refuseOthers(out);
  await using writer = await StoreWriter.create(out, { fingerprint, vocabSize });
  for (const path of stores) {
    const store = await openStoreFile(path, fingerprint);
    try {
      await writer.addStore(store, signal);
    } finally {
      await store.file.close();
    }
  }
  const of = documents?.files.reduce((sum, { bytes }) => sum + bytes, 0) ?? 0;
  const read = documents
    ? await addDocuments(writer, documents.files, documents.parts, options, of)
    : { files: 0, skipped: 0 };
  const tokenized = performance.now();
  const report = (stage: BuildProgress["stage"]) =>
    onProgress?.({ stage, bytes: of, of, tokens: writer.tokens });
  report("suffixes");
  let sorted = tokenized;
  const bytes = await writer.finish(signal, () => {
    sorted = performance.now();
    report("write");
  });
  return {
    path: out,
    tokens: writer.tokens,
    documents: writer.documents,
    bytes,
    ...read,
    sourceBytes: of,
    tokenizeMs: tokenized - start,
    sortMs: sorted - tokenized,
    totalMs: performance.now() - start,
  };
}

async function addDocuments(
  writer: StoreWriter,
  files: readonly SourceFile[],
  parts: EncoderParts,
  { signal, onProgress, threads = Math.min(64, availableParallelism()) }: BuildOptions,
  of: number,
): Promise<{ files: number; skipped: number }> {
  await using pool = new EncoderPool(parts, threads);
  /** Parts that are being tokenized, in their order. */
  const pending: { readonly encoded: ReturnType<EncoderPool["encode"]>; readonly bytes: number }[] = [];
  const take = async () => {
    const { encoded, bytes } = pending.shift()!;
    const { tokens, documents } = await encoded;
    signal?.throwIfAborted();
    await writer.add(tokens, documents);
    onProgress?.({ stage: "tokens", bytes, of, tokens: writer.tokens });
  };
  let before = 0;
  let skipped = 0;
  for (const file of files) {
    let empty = file.bytes > 0;
    for await (const { part, bytes } of readParts(file, signal)) {
      empty = false;
      const encoded = pool.encode(part);
      // Whether it failed is asked in its turn, or not at all when another one has.
      encoded.catch(() => {});
      pending.push({ encoded, bytes: before + bytes });
      while (pending.length > 4 * threads) await take();
    }
    if (empty) skipped++;
    before += file.bytes;
  }
  while (pending.length > 0) await take();
  return { files: files.length - skipped, skipped };
}

/** A file that is no datastore is not replaced: it is more likely a document whose name was given first. */
async function refuseOthers(out: string): Promise<void> {
  const { file, size } = await openFile(out).catch((error: EspalierError) => {
    if (error.code === "file-not-found") return { file: undefined, size: 0 };
    throw error;
  });
  try {
    const start = new Uint8Array(Math.min(size, HEADER_BYTES));
    if (file === undefined || size === 0 || ((await fill(out, file, start, 0)) && isStore(start))) return;
  } finally {
    await file?.close();
  }
  throw new EspalierError(
    "file-unwritable",
    `${out} is there and is no datastore; remove it first, or give another name`,
  );
}
