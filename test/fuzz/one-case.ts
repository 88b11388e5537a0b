/**
 * @file One fuzz case: a valid file, mutated, goes all the way from loading to a short text, or to answers from a datastore, or a model starts with it. It must
 * end in these or in an EspalierError with a code.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { loadModel } from "../../src/engine/load.ts";
import { EspalierError } from "../../src/errors.ts";
import { writeGguf } from "../gguf-writer.ts";
import { mutateBytes } from "./bytes.ts";
import { Chance } from "./chance.ts";
import { mutateContents } from "./contents.ts";
import type { Seed } from "./seeds.ts";
import { mutatedCosts, mutatedState, useCosts, useState } from "./states.ts";
import { askStore, mutatedStore } from "./stores.ts";

export interface Outcome {
  /** "text", "answers", "started", the code of the EspalierError that ended it, or "fault". */
  readonly end: string;
  /** Another error, or one that says too much; undefined when all is well. */
  readonly fault: string | undefined;
  /** Of processor time. */
  readonly ms: number;
  /** Most memory while it ran over that before it; 0 where the system does not tell. */
  readonly bytes: number;
  readonly fileBytes: number;
}

/** What is run: the bytes of a model, of a draft head for the model at `target`, or of something else. */
export type Case = Pick<Seed, "bytes" | "target"> & { readonly other?: keyof typeof OTHERS };

/** Files of other kinds: what is done with them, and how it ends when nothing is wrong. */
const OTHERS = {
  store: { use: askStore, end: "answers" },
  state: { use: useState, end: "started" },
  costs: { use: useCosts, end: "started" },
} as const;

/** Case `number`. */
export function caseOf(seeds: readonly Seed[], seed: number, number: number): Case {
  const chance = new Chance(seed, number);
  if (chance.once(8)) return { bytes: mutatedStore(chance), target: undefined, other: "store" };
  if (chance.once(16)) return { bytes: mutatedState(chance), target: undefined, other: "state" };
  if (chance.once(32)) return { bytes: mutatedCosts(chance), target: undefined, other: "costs" };
  // The last one has a vocabulary that takes longer than all the rest.
  const { file, bytes, layout, target } = chance.once(16) ? seeds.at(-1)! : chance.of(seeds.slice(0, -1));
  const mutated = chance.once(2)
    ? mutateBytes(bytes, layout, chance)
    : writeGguf(mutateContents(file, chance));
  return { bytes: mutated, target };
}

/** Runs the case by way of the file `path`. Never throws. */
export async function runCase({ bytes, target, other }: Case, path: string): Promise<Outcome> {
  await writeFile(path, bytes);
  const before = startMemory();
  const start = process.cpuUsage();
  const { end, fault } = await judge(
    () => (other ? OTHERS[other].use(path) : use(path, target)),
    other ? OTHERS[other].end : "text",
  );
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  return { end, fault, ms, bytes: mostMemory() - before, fileBytes: bytes.length };
}

async function judge(
  work: () => Promise<void>,
  end: string,
): Promise<{ end: string; fault: string | undefined }> {
  try {
    await work();
    return { end, fault: undefined };
  } catch (error) {
    if (error instanceof EspalierError && error.code !== undefined && error.message.length < 2000)
      return { end: error.code, fault: undefined };
    return {
      end: "fault",
      fault: error instanceof Error ? (error.stack ?? error.message).slice(0, 2000) : String(error),
    };
  }
}

async function use(path: string, target: string | undefined): Promise<void> {
  const options = { threads: 1, passTimes: false } as const;
  await using model = await (target === undefined
    ? loadModel(path, options)
    : loadModel(target, { ...options, head: path }));
  const requests = [
    { prompt: "Hi é 12 😀<|im_end|>\n  x" },
    ...(model.parts.chatTemplate ? [{ messages: [{ role: "user", content: "Hi" } as const] }] : []),
  ];
  for (const request of requests) {
    for await (const event of model.generate({
      ...request,
      ...(target !== undefined && { method: "eagle" }),
      maxTokens: 4,
    })) {
      if (event.type === "end" && !/^[a-z-]+$/.test(event.stopReason))
        throw new Error(`ended with ${event.stopReason}`);
    }
  }
}

const status = "/proc/self/status";
const canMeasure = process.platform === "linux";

function memory(name: "VmRSS" | "VmHWM"): number {
  if (!canMeasure) return 0;
  return Number(new RegExp(`^${name}:\\s*(\\d+) kB`, "m").exec(readFileSync(status, "latin1"))?.[1]) * 1024;
}

/** Bytes in memory now; what {@link mostMemory} tells starts anew. */
function startMemory(): number {
  if (canMeasure) writeFileSync("/proc/self/clear_refs", "5");
  return memory("VmRSS");
}

/** Most bytes in memory since {@link startMemory}. */
function mostMemory(): number {
  return memory("VmHWM");
}
