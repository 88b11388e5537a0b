/** @file Tests of the time inside drafters, on a clock that the test moves. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Candidates, Drafter } from "../draft/drafter.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { DrafterClock } from "./drafter-clock.ts";

beforeEach(() => vi.useFakeTimers({ toFake: ["performance"] }));
afterEach(() => vi.useRealTimers());

function pass(ms: number): void {
  vi.advanceTimersByTime(ms);
}

function drafter(expand: Drafter["expand"], observe: Drafter["observe"] = () => {}): Drafter {
  return { name: "d", rows: { pass: 3, prompt: 1 }, begin() {}, expand, observe };
}

const ask = (drafter: Drafter) => drafter.expand(new DraftTree(1, 1), [0], 1);
const outcome = {} as Parameters<Drafter["observe"]>[0];

test("answers and learning count, what comes between does not", () => {
  const clock = new DrafterClock();
  const [watched] = clock.watch([
    drafter(
      () => {
        pass(3);
        return [];
      },
      () => pass(5),
    ),
  ]);
  expect(ask(watched!)).toEqual([]);
  pass(100);
  watched!.observe(outcome);
  expect(clock.take()).toBe(8);
  expect(clock.take()).toBe(0);
});

test("a table that answers while a model's pass runs costs no time of its own; failures end their time", async () => {
  const clock = new DrafterClock();
  let arrive: (answer: Candidates[]) => void = () => {};
  const model = drafter(() => new Promise((resolve) => (arrive = resolve)));
  const table = drafter(() => {
    pass(2);
    return [];
  });
  const broken = drafter(() => {
    pass(1);
    throw new Error("broken");
  });
  const [first, second, third] = clock.watch([model, table, broken]);
  const answer = ask(first!);
  ask(second!);
  pass(7);
  arrive([]);
  expect(await answer).toEqual([]);
  pass(50);
  expect(clock.take()).toBe(9);
  expect(() => ask(third!)).toThrow("broken");
  pass(50);
  expect(clock.take()).toBe(1);
});

test("a watched drafter is otherwise the one it was", () => {
  const plain = drafter(() => []);
  const [bare] = new DrafterClock().watch([plain]);
  expect([bare!.name, bare!.rows, bare!.taps, bare!.passes]).toEqual(["d", plain.rows, [], 0]);
  expect([bare!.names?.(4), bare!.resume?.([1, 2, 3], 0)]).toEqual([true, 3]);
  const able: Drafter = {
    ...plain,
    ...{ taps: [2], passes: 7, names: (token) => token === 5, resume: () => 1 },
    observePrompt: () => Promise.resolve(),
  };
  const [watched] = new DrafterClock().watch([able]);
  expect([watched!.taps, watched!.passes, watched!.names?.(4), watched!.resume?.([1, 2], 0)]).toEqual([
    [2],
    7,
    false,
    1,
  ]);
});
