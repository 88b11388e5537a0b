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
        "beta-ts": "MAT 4.000000: 64 passes, 327 drafted, 135 wasted",
        "calibration-ts, cost 0.1": "MAT 4.654545: 55 passes, 288 drafted, 87 wasted",
        "calibration-ts, cost 0.3": "MAT 3.555556: 72 passes, 236 drafted, 52 wasted",
        "cost-aware, cost 0.1": "MAT 4.740741: 54 passes, 288 drafted, 86 wasted",
        "cost-aware, cost 0.3": "MAT 3.240506: 79 passes, 209 drafted, 32 wasted",
        "ddd 0.2": "MAT 2.348624: 109 passes, 168 drafted, 21 wasted",
        "ddd 0.4": "MAT 2.639175: 97 passes, 179 drafted, 20 wasted",
        "ddd 0.6": "MAT 2.976744: 86 passes, 191 drafted, 21 wasted",
        "ddd 0.8": "MAT 3.160494: 81 passes, 201 drafted, 26 wasted",
        "ddd 1": "MAT 3.555556: 72 passes, 211 drafted, 27 wasted",
        "length 1": "MAT 1.882353: 136 passes, 135 drafted, 15 wasted",
        "length 2": "MAT 2.585859: 99 passes, 192 drafted, 35 wasted",
        "length 3": "MAT 3.200000: 80 passes, 235 drafted, 59 wasted",
        "length 4": "MAT 3.820896: 67 passes, 259 drafted, 70 wasted",
        "length 5": "MAT 4.196721: 61 passes, 290 drafted, 95 wasted",
        "length 6": "MAT 4.654545: 55 passes, 318 drafted, 117 wasted",
        "length 7": "MAT 5.019608: 51 passes, 344 drafted, 139 wasted",
        "length 8": "MAT 5.565217: 46 passes, 356 drafted, 146 wasted",
        "oracle": "MAT 6.095238: 42 passes, 214 drafted, 0 wasted",
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
        "2 nodes, chain": "MAT 1.882353: 136 passes, 135 drafted, 15 wasted",
        "2 nodes, eagle-2": "MAT 1.868613: 137 passes, 136 drafted, 17 wasted",
        "2 nodes, opt-tree": "MAT 1.868613: 137 passes, 136 drafted, 17 wasted",
        "2 nodes, opt-tree, delta 0.2": "MAT 1.868613: 137 passes, 136 drafted, 17 wasted",
        "2 nodes, opt-tree, delta 0.5": "MAT 1.868613: 137 passes, 136 drafted, 17 wasted",
        "2 nodes, opt-tree, delta 0.8": "MAT 1.868613: 137 passes, 136 drafted, 17 wasted",
        "4 nodes, chain": "MAT 3.200000: 80 passes, 235 drafted, 59 wasted",
        "4 nodes, eagle-2": "MAT 3.160494: 81 passes, 241 drafted, 66 wasted",
        "4 nodes, opt-tree": "MAT 3.160494: 81 passes, 241 drafted, 66 wasted",
        "4 nodes, opt-tree, delta 0.2": "MAT 3.047619: 84 passes, 249 drafted, 77 wasted",
        "4 nodes, opt-tree, delta 0.5": "MAT 2.976744: 86 passes, 256 drafted, 86 wasted",
        "4 nodes, opt-tree, delta 0.8": "MAT 2.666667: 96 passes, 281 drafted, 121 wasted",
        "8 nodes, chain": "MAT 5.019608: 51 passes, 344 drafted, 139 wasted",
        "8 nodes, eagle-2": "MAT 4.654545: 55 passes, 374 drafted, 173 wasted",
        "8 nodes, opt-tree": "MAT 4.830189: 53 passes, 371 drafted, 168 wasted",
        "8 nodes, opt-tree, delta 0.2": "MAT 4.491228: 57 passes, 397 drafted, 198 wasted",
        "8 nodes, opt-tree, delta 0.5": "MAT 3.820896: 67 passes, 450 drafted, 261 wasted",
        "8 nodes, opt-tree, delta 0.8": "MAT 3.160494: 81 passes, 553 drafted, 378 wasted",
      }
    `);
  });

  test("accepts about what is expected", async () => {
    const { bins: _, ...means } = await compareExpectation(trace, 8);
    expect(means).toMatchInlineSnapshot(`
      {
        "accepted": 4.0625,
        "expected": 3.0689570225628966,
        "steps": 256,
        "unknown": 11,
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
