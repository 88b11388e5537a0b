/** @file Result files: where they are, what they hold already, and what a run adds. */

import { createHash } from "node:crypto";
import { appendFileSync, existsSync, mkdirSync, readFileSync, statSync } from "node:fs";
import { availableParallelism, cpus, totalmem } from "node:os";
import { basename, dirname, join } from "node:path";
import { compiled } from "./compiled.mjs";

const { conflict, mergeRecords, parseRecords } = await compiled("records");

/** `out` without its end, or the place of results of that name. */
export function placeOf(out, name) {
  return out?.replace(/\.jsonl$/, "") ?? join(import.meta.dirname, "results", name);
}

export function readResults(files) {
  return mergeRecords(files.map((name) => ({ name, ...parseRecords(readFileSync(name, "utf8"), name) })));
}

/** What a run is, for its file. */
export function describeRun(
  { model, draftModel, threads, weights, maxTokens, warmUpMs },
  contenders,
  commit,
) {
  return {
    type: "run",
    model: {
      name: basename(model, ".gguf"),
      bytes: statSync(model).size,
      sha256: createHash("sha256").update(readFileSync(model)).digest("hex"),
    },
    draftModel: draftModel === undefined ? null : basename(draftModel, ".gguf"),
    ...{ maxTokens, warmUpMs, threads, weights, contenders },
    machine: {
      cpu: cpus()[0]?.model.trim() ?? "unknown",
      cores: availableParallelism(),
      memoryGb: Math.round(totalmem() / 1e9),
    },
    node: process.version,
    commit,
  };
}

/** Opens `file` for the results of `run`: with what it holds, if that is of the same run, or new. */
export function openResults(file, run) {
  let records = { runs: [], rounds: [] };
  if (existsSync(file)) {
    const text = readFileSync(file, "utf8");
    records = parseRecords(text, file);
    for (const earlier of records.runs) {
      const what = conflict(earlier, run) ?? (earlier.commit === run.commit ? undefined : "the commit");
      if (what !== undefined)
        throw new RangeError(`${file} holds results for which ${what} was another; give --out another name`);
    }
    if (!text.endsWith("\n")) appendFileSync(file, "\n");
    process.stderr.write(`${records.rounds.length} rounds are in ${file} already\n`);
  }
  mkdirSync(dirname(file), { recursive: true });
  appendFileSync(file, `${JSON.stringify(run)}\n`);
  return { file, runs: [...records.runs, run], rounds: [...records.rounds] };
}
