/**
 * @file The files that a datastore is built from, read in parts that can be tokenized apart: a file of text is one document, a line of a JSONL
 * file is one. Long texts are cut before a line that begins with something visible, where no tokenizer joins what is on both sides.
 */

import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { EspalierError } from "../errors.ts";

/** Characters of a part, but for lines that are longer. */
const PART = 1 << 18;
/** A longer line of text, such as minified code, is cut anywhere. */
const LONGEST_LINE = 1 << 20;
const LONGEST_RECORD = 1 << 26;

export interface SourceFile {
  readonly path: string;
  readonly bytes: number;
  /** A line each. */
  readonly records: boolean;
  /** It was asked for by its own name, not by that of its folder. */
  readonly named: boolean;
}

export type Part =
  | { readonly kind: "text"; readonly text: string /** The document ends with it. */; readonly ends: boolean }
  | {
      readonly kind: "records";
      readonly text: string;
      readonly path: string;
      /** Number of its first line, from 1. */
      readonly line: number;
    };

/**
 * Files, and all files in folders but hidden ones, in the order of their names; links in folders are not followed. Throws EspalierError
 * "file-not-found" or "file-unreadable".
 */
export async function findFiles(inputs: readonly string[]): Promise<SourceFile[]> {
  const files: SourceFile[] = [];
  const add = (path: string, bytes: number, named: boolean) =>
    files.push({ path, bytes, records: /\.(jsonl|ndjson)$/i.test(path), named });
  const walk = async (folder: string): Promise<void> => {
    const entries = await readdir(folder, { withFileTypes: true });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.name.startsWith(".")) continue;
      if (entry.isDirectory()) await walk(path);
      else if (entry.isFile()) add(path, (await stat(path)).size, false);
    }
  };
  for (const input of inputs) {
    try {
      const info = await stat(input);
      if (info.isDirectory()) await walk(input);
      else if (info.isFile()) add(input, info.size, true);
      else throw new EspalierError("file-unreadable", `${input} is neither a file nor a folder`);
    } catch (cause) {
      throw readError(input, cause);
    }
  }
  return files;
}

/**
 * The parts of a file, with the bytes that have been read by then. One that is not text (it has zero bytes) has none in a folder. Throws EspalierError "bad-documents"
 * for such a one that was named, "file-not-found" or "file-unreadable".
 */
export async function* readParts(
  { path, records, named }: SourceFile,
  signal?: AbortSignal,
): AsyncGenerator<{ part: Part; bytes: number }> {
  const stream = createReadStream(path, { encoding: "utf8", highWaterMark: PART, signal });
  let rest = "";
  let line = 1;
  let begun = false;
  const cut = (text: string, ends: boolean) => {
    const part: Part = records ? { kind: "records", text, path, line } : { kind: "text", text, ends };
    if (records) for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) line++;
    return { part, bytes: stream.bytesRead };
  };
  try {
    for await (const chunk of stream as AsyncIterable<string>) {
      if (!begun && chunk.includes("\0")) {
        if (!named) return;
        throw new EspalierError("bad-documents", `${path} is not text; give text, code or JSONL`);
      }
      rest += begun ? chunk : chunk.replace(/^\ufeff/, "");
      begun = true;
      const at = records ? rest.lastIndexOf("\n") + 1 : lastCut(rest);
      if (rest.length < PART || at === 0) {
        if (records && rest.length > LONGEST_RECORD) {
          throw new EspalierError(
            "bad-documents",
            `${path}:${line}: more than ${LONGEST_RECORD} characters in a line; is it JSONL?`,
          );
        }
        continue;
      }
      yield cut(rest.slice(0, at), false);
      rest = rest.slice(at);
    }
    if (rest !== "") yield cut(rest, true);
  } catch (cause) {
    signal?.throwIfAborted();
    throw readError(path, cause);
  }
}

/** Behind the last line break before something visible; 0 when there is none. Something is left behind it. */
function lastCut(text: string): number {
  for (let at = text.lastIndexOf("\n", text.length - 2); at >= 0; at = text.lastIndexOf("\n", at - 1)) {
    if (/\S/.test(text[at + 1]!)) return at + 1;
    if (at === 0) break;
  }
  if (text.length <= LONGEST_LINE) return 0;
  const splitsPair = (text.charCodeAt(PART - 1) & 0xfc00) === 0xd800;
  return splitsPair ? PART - 1 : PART;
}

function readError(path: string, cause: unknown): EspalierError {
  if (cause instanceof EspalierError) return cause;
  if ((cause as NodeJS.ErrnoException).code === "ENOENT") {
    return new EspalierError("file-not-found", `there is no file or folder ${path}`, { cause });
  }
  return new EspalierError("file-unreadable", `${path} cannot be read: ${(cause as Error).message}`, {
    cause,
  });
}
