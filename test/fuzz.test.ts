/** @file The short run of `npm run fuzz`: damaged and hostile files of models, draft heads, datastores and of what was learnt end in a text, in answers, or in a clear error. */

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { caseOf, runCase } from "./fuzz/one-case.ts";
import { readSeeds, type Seed } from "./fuzz/seeds.ts";

const SEED = 1;
const CASES = process.env.ESPALIER_TESTS === "few" ? 400 : 1000;
let folder: string;
let seeds: readonly Seed[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "espalier-fuzz-"));
  seeds = await readSeeds({
    embedded: "models/espalier-tiny/espalier-tiny-draft.gguf",
    fixtures: "test/fixtures",
  });
});
afterAll(() => rm(folder, { recursive: true }));

it("starts from files that generate", async () => {
  for (const seed of seeds) {
    expect(await runCase(seed, join(folder, "seed.gguf")), seed.name).toMatchObject({ end: "text" });
  }
});

it("is the same file for the same seed and case", () => {
  expect(caseOf(seeds, 5, 7)).toEqual(caseOf(seeds, 5, 7));
  expect(caseOf(seeds, 5, 7)).not.toEqual(caseOf(seeds, 6, 7));
  expect(caseOf(seeds, 5, 7)).not.toEqual(caseOf(seeds, 5, 8));
});

it(`${CASES} mutated files end in a text, in answers, or in an EspalierError`, async () => {
  const ends = new Map<string, number>();
  for (let number = 0; number < CASES; number++) {
    const { end, fault } = await runCase(caseOf(seeds, SEED, number), join(folder, "case.gguf"));
    expect(fault, `seed ${SEED}, case ${number}`).toBeUndefined();
    ends.set(end, (ends.get(end) ?? 0) + 1);
  }
  // The mutations reach every stage on the way, and some files come through.
  expect(ends.get("text")).toBeGreaterThan(CASES / 20);
  expect(ends.get("answers")).toBeGreaterThan(CASES / 100);
  expect(ends.get("started")).toBeGreaterThan(CASES / 400);
  for (const code of [
    "damaged-file",
    "bad-model",
    "missing-tensor",
    "unsupported-weight-type",
    "bad-chat-template",
    "bad-store",
    "bad-state",
  ]) {
    expect(ends.get(code), code).toBeGreaterThan(0);
  }
});
