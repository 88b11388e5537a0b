import { expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import type { Drafter } from "../draft/drafter.ts";
import type { Structure } from "../structure/structure.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { Attendance } from "./attendance.ts";

/** Notes what it is told. */
function listener(mayMiss: boolean) {
  const heard: string[] = [];
  const rests: boolean[] = [];
  const drafter: Drafter = {
    name: "listener",
    rows: { pass: 0, prompt: 0 },
    mayMiss,
    begin: (tokens) => void heard.push(`begin ${tokens.length}`),
    expand: (_tree, nodes) => nodes.map(() => ({ tokens: [], probs: [] })),
    rest: (resting) => void (rests.at(-1) === resting || rests.push(resting)),
    observe: ({ position }) => void heard.push(`step ${position}`),
  };
  return { drafter, heard, rests };
}

it("who may miss steps rests when nothing is drafted, or nobody asks, and then reads what it has missed", async () => {
  const [always, table, other] = [listener(false), listener(true), listener(true)];
  const asked = [true, true, true];
  const observed: number[] = [];
  const bare: boolean[] = [];
  const structure: Structure = {
    grow() {},
    asks: (i) => asked[i]!,
    observe: ({ position }, ms) => {
      observed.push(position);
      expect(ms).toHaveLength(3);
    },
  };
  const attendance = new Attendance([always.drafter, table.drafter, other.drafter], structure);
  const step = (position: number, rest: boolean) => {
    attendance.rest(rest);
    bare.push(attendance.bare);
    return attendance.observe(outcomeOf(new DraftTree(0, 1), [0], 1, position));
  };
  await step(1, false);
  asked[2] = false;
  await step(2, false);
  await step(3, true);
  attendance.rest(false);
  await attendance.gather([1, 2, 3, 4]);
  await step(4, false);
  asked[2] = true;
  // It has missed steps: nothing more is learnt before it has caught up.
  await step(5, false);
  await attendance.gather([1, 2, 3, 4, 5, 6]);
  await attendance.gather([1, 2, 3, 4, 5, 6]);
  await step(6, false);
  expect(always.heard).toEqual(["step 1", "step 2", "step 3", "step 4", "step 5", "step 6"]);
  expect(table.heard).toEqual(["step 1", "step 2", "begin 4", "step 4", "step 5", "step 6"]);
  expect(other.heard).toEqual(["step 1", "begin 6", "step 6"]);
  expect(observed).toEqual([1, 2, 3, 4, 5, 6]);
  expect(bare).toEqual([false, false, true, false, false, false]);
  expect(always.rests).toEqual([false, true, false]);
  expect(other.rests).toEqual([false, true, false]);
});

it("who may miss steps reads a text that begins while nothing is drafted when it is asked", async () => {
  const [always, table, other] = [listener(false), listener(true), listener(true)];
  const structure: Structure = { grow() {}, asks: (i) => i !== 2 };
  const attendance = new Attendance([always.drafter, table.drafter, other.drafter], structure);
  attendance.rest(false);
  expect(attendance.attending).toEqual([always.drafter, table.drafter]);
  attendance.rest(true);
  expect(attendance.attending).toEqual([always.drafter]);
  await attendance.begin([1, 2]);
  expect([always, table, other].map(({ heard }) => heard)).toEqual([["begin 2"], [], []]);
  attendance.rest(false);
  await attendance.gather([1, 2, 3]);
  expect([always, table, other].map(({ heard }) => heard)).toEqual([["begin 2"], ["begin 3"], []]);
});

it("waits for those that learn at length, and then goes on with the others", async () => {
  const slow: Drafter = {
    ...listener(false).drafter,
    observe: async ({ position }) => {
      await Promise.resolve();
      order.push(`slow ${position}`);
    },
  };
  const order: string[] = [];
  const quick: Drafter = {
    ...listener(true).drafter,
    observe: ({ position }) => void order.push(`quick ${position}`),
  };
  const structure: Structure = {
    grow() {},
    observe: ({ position }) => void order.push(`structure ${position}`),
  };
  const attendance = new Attendance([slow, quick], structure);
  await attendance.observe(outcomeOf(new DraftTree(0, 1), [0], 1, 7));
  expect(order).toEqual(["slow 7", "quick 7", "structure 7"]);
  expect(
    new Attendance([quick], structure).observe(outcomeOf(new DraftTree(0, 1), [0], 1, 8)),
  ).toBeUndefined();
});

it("who may rest misses the steps of a text that does not draft, not those in which others are asked", async () => {
  const { drafter, heard, rests } = listener(false);
  let asked = true;
  const attendance = new Attendance([{ ...drafter, mayRest: true }], { grow() {}, asks: () => asked });
  const step = async (position: number, rest: boolean) => {
    attendance.rest(rest);
    await attendance.gather(Array(position).fill(0));
    await attendance.observe(outcomeOf(new DraftTree(0, 1), [0], 1, position));
  };
  await step(1, false);
  asked = false;
  await step(2, false);
  await step(3, true);
  await step(4, true);
  await step(5, false);
  expect(heard).toEqual(["step 1", "step 2", "begin 5", "step 5"]);
  expect(rests).toEqual([false, true]);
});
