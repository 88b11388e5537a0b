/** @file Tests of the line of figures. */

import { expect, test } from "vitest";
import type { GenerateStats } from "../session/api.ts";
import { statsLine } from "./report.ts";

const STATS: GenerateStats = {
  method: "draft-model",
  promptTokens: 5,
  cachedTokens: 0,
  tokens: 10,
  passes: 10,
  mat: 1,
  nodes: 10,
  prefillMs: 1,
  decodeMs: 10,
  passMs: 9,
  draftMs: 0.5,
  off: null,
  tokensPerSecond: 1000,
  byDrafter: { model: { drafted: 0, accepted: 0, passes: 0 } },
};

test("says why drafting has stopped", () => {
  const off = "off: drafts gave 0.90 tokens in the time of a plain one";
  expect(statsLine(STATS)).toMatch(/· draft-model, 5 % of the time drafting$/);
  expect(statsLine({ ...STATS, off })).toMatch(new RegExp(`drafting · ${off}$`));
});
