/** @file The public exports: adding one is a promise, taking one away breaks somebody, so both show here. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import * as aiSdk from "../src/ai-sdk/language-model.ts";
import * as library from "../src/index.ts";

const source = readFileSync(join(import.meta.dirname, "../src/index.ts"), "utf8");

/** Names of every export of `index.ts`, types with their keyword. */
function exported(text: string): string[] {
  return [...text.matchAll(/^export (type )?\{([^}]*)\}/gm)].flatMap(([, type = "", names]) =>
    names!
      .split(",")
      .map((name) => name.trim())
      .filter((name) => name !== "")
      .map((name) => (name.startsWith("type ") ? name : `${type}${name}`)),
  );
}

test("types and values", () => {
  expect(exported(source).sort()).toMatchInlineSnapshot(`
    [
      "DraftTree",
      "EspalierError",
      "Model",
      "Service",
      "Session",
      "defaultMethod",
      "loadModel",
      "methodNames",
      "openDatastore",
      "type Budget",
      "type Candidates",
      "type ChainAhead",
      "type ChatMessage",
      "type Continuations",
      "type Coupling",
      "type Datastore",
      "type DownloadOffer",
      "type DownloadProgress",
      "type Drafter",
      "type DrafterStats",
      "type EspalierErrorCode",
      "type GenerateEvent",
      "type GenerateRequest",
      "type GenerateStats",
      "type LoadOptions",
      "type NodeIndex",
      "type Outlook",
      "type Pass",
      "type Penalised",
      "type PenaltyForecast",
      "type PenaltyRule",
      "type PickRule",
      "type PieceLogProbs",
      "type Position",
      "type PrefillOptions",
      "type RetrievalLimits",
      "type RetrievalSource",
      "type SamplingOptions",
      "type ServiceLoad",
      "type ServiceOptions",
      "type StepOutcome",
      "type StepReport",
      "type StopReason",
      "type Structure",
      "type Target",
      "type TargetSequence",
      "type TextPiece",
      "type TokenCounts",
      "type TokenId",
      "type TokenLogProb",
      "type Want",
      "type WarmUpOptions",
    ]
  `);
});

test("every value is there, and nothing else", () => {
  const values = exported(source).filter((name) => !name.startsWith("type "));
  expect(Object.keys(library).sort()).toEqual(values.sort());
  for (const value of Object.values(library)) expect(value).toBeDefined();
});

test("the provider for the AI SDK has a path of its own", () => {
  expect(Object.keys(aiSdk)).toEqual(["languageModel"]);
});
