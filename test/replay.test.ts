/** @file Replays of the committed trace: structures and rules compared to the last digit, and the trace against the model that wrote it. */

import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { COSTS, compareExpectation, compareRules, compareTrees, LENGTHS } from "../bench/replay/compare.ts";
import { record } from "../bench/replay/record.ts";
import { replay } from "../bench/replay/replay.ts";
import { packTrace, type Trace, unpackTrace } from "../bench/replay/trace.ts";
import { loadModel } from "../src/engine/load.ts";
import { chain } from "../src/structure/chain.ts";
import { fixed } from "../src/structure/stop/fixed.ts";

const TRACE = fileURLToPath(new URL("../bench/replay/espalier-tiny.trace.gz", import.meta.url));

let trace: Trace;
beforeAll(async () => {
  trace = unpackTrace(await readFile(TRACE));
});

/** To the last digit. */
const figures = (results: Awaited<ReturnType<typeof compareRules>>) =>
  Object.fromEntries(
    Object.entries(results).map(([name, { tokens, passes, drafted, wasted }]) => [
      name,
      `MAT ${(tokens / passes).toFixed(6)}: ${passes} passes, ${drafted} drafted, ${wasted} wasted`,
    ]),
  );

describe("the committed trace", () => {
  test("ends chains where rules say", async () => {
    const results = await compareRules(trace);
    for (const { unknown } of Object.values(results)) expect(unknown).toBe(0);
    expect(figures(results)).toMatchInlineSnapshot(`
      {
        "beta-ts": "MAT 3.605634: 71 passes, 339 drafted, 154 wasted",
        "calibration-ts, cost 0.1": "MAT 4.491228: 57 passes, 293 drafted, 94 wasted",
        "calibration-ts, cost 0.3": "MAT 3.160494: 81 passes, 230 drafted, 55 wasted",
        "cost-aware, cost 0.1": "MAT 4.491228: 57 passes, 281 drafted, 82 wasted",
        "cost-aware, cost 0.3": "MAT 3.121951: 82 passes, 211 drafted, 37 wasted",
        "ddd 0.2": "MAT 2.306306: 111 passes, 168 drafted, 23 wasted",
        "ddd 0.4": "MAT 2.612245: 98 passes, 180 drafted, 22 wasted",
        "ddd 0.6": "MAT 2.876404: 89 passes, 191 drafted, 24 wasted",
        "ddd 0.8": "MAT 3.121951: 82 passes, 202 drafted, 28 wasted",
        "ddd 1": "MAT 3.459459: 74 passes, 214 drafted, 32 wasted",
        "length 1": "MAT 1.896296: 135 passes, 135 drafted, 14 wasted",
        "length 2": "MAT 2.560000: 100 passes, 195 drafted, 39 wasted",
        "length 3": "MAT 3.160494: 81 passes, 239 drafted, 64 wasted",
        "length 4": "MAT 3.605634: 71 passes, 276 drafted, 91 wasted",
        "length 5": "MAT 4.129032: 62 passes, 296 drafted, 102 wasted",
        "length 6": "MAT 4.413793: 58 passes, 330 drafted, 132 wasted",
        "length 7": "MAT 5.019608: 51 passes, 345 drafted, 140 wasted",
        "length 8": "MAT 5.333333: 48 passes, 373 drafted, 165 wasted",
        "oracle": "MAT 5.688889: 45 passes, 211 drafted, 0 wasted",
      }
    `);
    // No rule has fewer passes than the one that knows the text, and that one wastes nothing.
    const fewest = Math.min(...Object.values(results).map(({ passes }) => passes));
    expect(results.oracle).toMatchObject({ passes: fewest, wasted: 0 });
    // Where questions cost, the rules that count it give more than fixed lengths do on the mean, the dear ones more than any.
    const pace = (name: string, cost: number) =>
      results[name]!.tokens / (results[name]!.passes + cost * results[name]!.questions);
    for (const cost of COSTS) {
      const paces = LENGTHS.map((length) => pace(`length ${length}`, cost));
      const usual = paces.reduce((sum, one) => sum + one, 0) / paces.length;
      for (const rule of ["calibration-ts", "cost-aware"])
        expect(pace(`${rule}, cost ${cost}`, cost)).toBeGreaterThan(cost < 0.3 ? usual : Math.max(...paces));
    }
  });

  test("grows trees of n nodes", async () => {
    expect(figures(await compareTrees(trace))).toMatchInlineSnapshot(`
      {
        "2 nodes, chain": "MAT 1.896296: 135 passes, 135 drafted, 14 wasted",
        "2 nodes, eagle-2": "MAT 1.882353: 136 passes, 136 drafted, 16 wasted",
        "2 nodes, opt-tree": "MAT 1.882353: 136 passes, 136 drafted, 16 wasted",
        "2 nodes, opt-tree, delta 0.2": "MAT 1.882353: 136 passes, 136 drafted, 16 wasted",
        "2 nodes, opt-tree, delta 0.5": "MAT 1.882353: 136 passes, 136 drafted, 16 wasted",
        "2 nodes, opt-tree, delta 0.8": "MAT 1.882353: 136 passes, 136 drafted, 16 wasted",
        "4 nodes, chain": "MAT 3.160494: 81 passes, 239 drafted, 64 wasted",
        "4 nodes, eagle-2": "MAT 3.121951: 82 passes, 244 drafted, 70 wasted",
        "4 nodes, opt-tree": "MAT 3.121951: 82 passes, 244 drafted, 70 wasted",
        "4 nodes, opt-tree, delta 0.2": "MAT 3.047619: 84 passes, 249 drafted, 77 wasted",
        "4 nodes, opt-tree, delta 0.5": "MAT 3.047619: 84 passes, 247 drafted, 75 wasted",
        "4 nodes, opt-tree, delta 0.8": "MAT 2.666667: 96 passes, 278 drafted, 118 wasted",
        "8 nodes, chain": "MAT 5.019608: 51 passes, 345 drafted, 140 wasted",
        "8 nodes, eagle-2": "MAT 4.491228: 57 passes, 383 drafted, 184 wasted",
        "8 nodes, opt-tree": "MAT 4.654545: 55 passes, 378 drafted, 177 wasted",
        "8 nodes, opt-tree, delta 0.2": "MAT 4.338983: 59 passes, 407 drafted, 210 wasted",
        "8 nodes, opt-tree, delta 0.5": "MAT 3.820896: 67 passes, 457 drafted, 268 wasted",
        "8 nodes, opt-tree, delta 0.8": "MAT 3.121951: 82 passes, 558 drafted, 384 wasted",
      }
    `);
  });

  test("accepts about what is expected", async () => {
    const { bins: _, ...means } = await compareExpectation(trace, 8);
    expect(means).toMatchInlineSnapshot(`
      {
        "accepted": 3.78515625,
        "expected": 3.0363791203880703,
        "steps": 256,
        "unknown": 13,
      }
    `);
  });

  test("is what the model gives today", async () => {
    await using model = await loadModel(undefined, { head: "none", exit: "none", passTimes: false });
    const prompts = trace.texts.map(({ id, tokens, prompt }) => ({ id, tokens: tokens.slice(0, prompt) }));
    const [first] = trace.texts;
    const again = await record(model, {
      prompts: prompts.slice(0, 1),
      maxTokens: first!.steps.length,
      nodes: trace.nodes,
    });
    expect(again.texts[0]).toEqual(first);
  });
});

test("a trace comes back from its file as it was", () => {
  expect(unpackTrace(packTrace(trace))).toEqual(trace);
});

test("a replayed chain of one token counts as by hand", async () => {
  const step = (token: number, guess: number) => [
    { parent: -1, token, tokens: [guess, 9], units: [6000, 100] },
  ];
  const small: Trace = {
    model: "none",
    drafter: "none",
    nodes: 2,
    texts: [
      {
        id: "a",
        tokens: [1, 2, 3, 4, 5, 6],
        prompt: 2,
        steps: [step(2, 3), step(3, 7), step(4, 5), step(5, 6)],
      },
    ],
  };
  // 3 is guessed and 4 the bonus token; 5 is guessed and 6 the bonus token.
  const structure = () => chain(fixed(1));
  expect(await replay(small, { structure, nodes: 2 })).toMatchObject({
    ...{ tokens: 4, passes: 2, drafted: 2, wasted: 0, questions: 2, unknown: 0 },
    steps: [
      { expected: 0.6, accepted: 1 },
      { expected: 0.6, accepted: 1 },
    ],
  });
  expect(await replay(small, { structure, nodes: 2, everywhere: true })).toMatchObject({
    passes: 4,
    drafted: 3,
    wasted: 1,
  });
});
