/** @file Tests of the quick measuring of questions with a clock that only they move, and with drafters of the toy's. */

import { afterEach, expect, test, vi } from "vitest";
import type { Drafter } from "../draft/drafter.ts";
import { ModelDrafter } from "../draft/model.ts";
import { ToyTarget } from "../target/toy.ts";
import { quickQuestions } from "./quick-questions.ts";

afterEach(() => {
  vi.restoreAllMocks();
});

const sizes = { vocabSize: 48, hiddenSize: 4, contextLength: 512 };

/** A drafter whose questions take 0.1 ms and 0.05 for each row; others are held up now and then. */
function timed(change: Partial<Drafter> = {}) {
  let now = 0;
  vi.spyOn(performance, "now").mockImplementation(() => now);
  const seen = { rows: [] as number[], texts: 0, freed: 0, states: 0 };
  let fresh = 0;
  let asked = 0;
  const drafter: Drafter = {
    name: "timed",
    rows: { pass: 0, prompt: 0 },
    taps: [1],
    resume: () => 0,
    observePrompt: (tokens, pass) => {
      for (const row of tokens.keys()) seen.states += pass.hidden(row, 1).length;
    },
    begin: (tokens) => {
      seen.texts++;
      fresh = tokens.length;
    },
    expand: async (_tree, nodes) => {
      const rows = fresh + (nodes[0] === 0 ? 0 : nodes.length);
      fresh = 0;
      seen.rows.push(rows);
      now += (0.1 + 0.05 * rows) * (asked++ % 5 === 2 ? 4 : 1);
      return nodes.map(() => ({ tokens: [], probs: [] }));
    },
    observe: ({ path, pass, tree, bonus }) => {
      fresh = path.length;
      for (const node of path) seen.states += pass.hidden(node, 1).length;
      if (tree.depths[path.at(-1)!] !== path.length - 1 || !(bonus < 48)) throw new Error("no step");
    },
    [Symbol.asyncDispose]: async () => {
      seen.freed++;
    },
    ...change,
  };
  return { drafter, seen };
}

test("takes the fastest of first questions with three new rows, and of others about four nodes", async () => {
  const { drafter, seen } = timed();
  const costs = await quickQuestions(drafter, sizes);
  expect(costs!.first).toBeCloseTo(0.25);
  expect(costs!.next).toBeCloseTo(0.3);
  expect(seen.rows.slice(0, 4)).toEqual([8, 4, 3, 4]);
  expect(seen.rows.length).toBeGreaterThan(20);
  expect([seen.texts, seen.freed]).toEqual([1, 1]);
});

test("has a pass of the target run before every first question", async () => {
  const { drafter, seen } = timed();
  const order: string[] = [];
  const expand = drafter.expand.bind(drafter);
  const watched: Drafter = {
    ...drafter,
    expand: (...of) => {
      order.push(of[1][0] === 0 ? "first" : "next");
      return expand(...of);
    },
  };
  await quickQuestions(watched, sizes, async () => order.push("pass"));
  expect(order.length).toBe(1.5 * seen.rows.length);
  expect(order.slice(0, 6)).toEqual(["pass", "first", "next", "pass", "first", "next"]);
});

test("asks a slow one once, and gives up where there is no room or no clock", async () => {
  const slow = timed();
  const { expand } = slow.drafter;
  await quickQuestions(
    {
      ...slow.drafter,
      expand: async (...of) => {
        for (let i = 0; i < 300; i++) await expand.apply(slow.drafter, of);
        return [];
      },
    },
    sizes,
  );
  expect(slow.seen.rows.length).toBe(600);
  const { drafter, seen } = timed();
  expect(await quickQuestions(drafter, { ...sizes, contextLength: 10 })).toBeUndefined();
  expect([seen.rows.length, seen.freed]).toEqual([0, 1]);
  vi.restoreAllMocks();
  vi.spyOn(performance, "now").mockReturnValue(5);
  const still = await quickQuestions(new ModelDrafter(new ToyTarget()), sizes);
  expect(still).toEqual({ first: 0.001, next: 0.001 });
});

test("frees the drafter when it fails", async () => {
  const { drafter, seen } = timed({ expand: () => Promise.reject(new Error("no memory")) });
  await expect(quickQuestions(drafter, sizes)).rejects.toThrow("no memory");
  expect(seen.freed).toBe(1);
});
