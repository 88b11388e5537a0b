/** @file Trace files, written whole and read with suspicion. */

import { access, constants, stat } from "node:fs/promises";
import { dirname } from "node:path";
import type { z } from "zod";
import { fill, openFile } from "../../checkpoint/open-file.ts";
import { EspalierError } from "../../errors.ts";
import { writeWhole } from "../../session/whole-file.ts";
import { TRACE_VERSION, type Trace, traceSchema } from "./format.ts";
import { clipped, visible } from "./visible.ts";

const MOST_BYTES = 64 << 20;
const MOST_SHOWN = 120;

/** Throws EspalierError "file-unwritable" when `path` is not where a file can be put, so that nobody has to find out at the end. */
export async function checkWritable(path: string): Promise<void> {
  const folder = dirname(path);
  const refuse = (why: string, cause?: unknown) =>
    new EspalierError("file-unwritable", `${path} cannot be written: ${why}`, { cause });
  const there = await stat(path).catch(() => undefined);
  if (there && !there.isFile()) throw refuse("it is there and is no regular file");
  await access(folder, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    throw refuse(cause.code === "ENOENT" ? `there is no folder ${folder}` : cause.message, cause);
  });
}

/** Throws EspalierError "disk-full" or "file-unwritable"; then the file that was there is still there. */
export async function writeTrace(path: string, trace: Trace): Promise<void> {
  await writeWhole(path, `${JSON.stringify(trace)}\n`);
}

/** Throws EspalierError "file-not-found", "file-unreadable", "too-large", or "bad-trace", which names what is wrong in the file. */
export async function readTrace(path: string): Promise<Trace> {
  return parseTrace(await readText(path), path);
}

/** Checks the text of a trace file; `name` stands for it in errors. */
export function parseTrace(text: string, name: string): Trace {
  const bad = (why: string) => new EspalierError("bad-trace", `${name} is no trace to read: ${why}`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    // The parser quotes what it stumbled over.
    throw bad(`it is not JSON (${quoted((cause as Error).message)}); was it cut short?`);
  }
  const version = (value as { version?: unknown } | null)?.version;
  if (Number.isInteger(version) && (version as number) > TRACE_VERSION)
    throw bad(`it has version ${version}, this program reads ${TRACE_VERSION}`);
  const result = traceSchema.safeParse(value);
  if (!result.success) throw bad(faultOf(result.error));
  return result.data;
}

async function readText(path: string): Promise<string> {
  const { file, size } = await openFile(path);
  try {
    if (size > MOST_BYTES) {
      throw new EspalierError(
        "too-large",
        `${path} has ${size} bytes; a trace has at most ${MOST_BYTES}, so this is none that generate --trace wrote`,
      );
    }
    const bytes = new Uint8Array(size);
    if (!(await fill(path, file, bytes, 0)))
      throw new EspalierError("file-unreadable", `${path} became shorter while it was read`);
    return new TextDecoder().decode(bytes);
  } finally {
    await file.close();
  }
}

/** The first thing that is wrong, and where. */
function faultOf({ issues }: z.ZodError): string {
  const { path, message } = issues[0]!;
  const where = path
    .map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key)}`))
    .join("")
    .slice(1);
  return `${where || "the file"}: ${quoted(message)}`;
}

function quoted(text: string): string {
  return clipped(visible(text), MOST_SHOWN);
}
