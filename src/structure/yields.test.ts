import { describe, expect, it } from "vitest";
import { QuestionTimes } from "./question-times.ts";
import { Question, Yields } from "./yields.ts";

/** Steps of a model whose questions bring `gain` tokens in `ms` milliseconds, where each is worth `price` tokens: how often it is asked. */
function asked(yields: Yields, { steps = 4000, gain = 0, ms = 1, price = 0.5, worth = 0.5 }): number {
  let count = 0;
  for (let i = 0; i < steps; i++) {
    if (!yields.asks(worth, price)) continue;
    count++;
    yields.observeFirst(ms);
    yields.observe(worth, gain, 1);
  }
  return count;
}

/** What is expected of a question about one node, whether to ask it, and then what it brings. */
function ask(yields: Yields, { value = 0.5, named = 0, row = 0.1, price = 0.1 }, brings?: number) {
  const question = new Question();
  yields.about(question, value, named, row, price);
  const goesOn = yields.goesOn(question, price);
  if (brings !== undefined) yields.observeNext(question, brings, 1);
  return { goesOn, expected: question.expected };
}

/** Whether to ask it. */
const goesOn = (yields: Yields, node: { value?: number; named?: number; row?: number; price?: number }) =>
  ask(yields, node).goesOn;

/** One whose questions take a millisecond. */
function timed(): Yields {
  const times = new QuestionTimes({ first: 1, next: 1 });
  times.observe(1, 1);
  return new Yields(times);
}

describe("Yields", () => {
  it("asks where it pays, and hardly where it does not", () => {
    const yields = new Yields();
    expect(asked(yields, { gain: 0.8, worth: 0.5 })).toBe(4000);
    const steps = 4000;
    const price = 0.5;
    const lost = price * asked(yields, { steps, gain: 0, price, worth: 3 });
    // What trials lose is bounded, but for the first ones; there are some.
    expect(lost).toBeLessThan(steps / 100);
    expect(lost).toBeGreaterThan(4 * price);
    // Of the first kind it thinks as before.
    expect(asked(yields, { gain: 0.8, worth: 0.5, steps: 10 })).toBe(10);
  });

  it("finds out when asking begins to pay, or no longer does", () => {
    const yields = new Yields();
    asked(yields, { gain: 0 });
    const after = asked(yields, { gain: 2, steps: 4000 });
    expect(after).toBeGreaterThan(2000);
    asked(yields, { gain: 0, steps: 500 });
    expect(asked(yields, { gain: 0, steps: 500 })).toBeLessThan(25);
  });

  it("takes no notice of the first slow calls of cold code", () => {
    const yields = new Yields();
    for (const ms of [30, 8, 2, 1, 1, 1]) {
      yields.observeFirst(ms);
      yields.observe(0.5, 0.8, 1);
    }
    expect(yields.asks(0.5, 0.5)).toBe(true);
    expect(yields.asks(0.5, 0.7)).toBe(true);
    for (const ms of [1, 40, 1, 1, 40, 1, 1, 1]) yields.observeFirst(ms);
    expect(yields.asks(0.5, 0.6)).toBe(true);
  });

  it("asks once although that was measured to be too dear, and goes on where it is not", () => {
    const yields = new Yields(new QuestionTimes({ first: 40, next: 40 }));
    expect(ask(yields, { price: 0.5 }, 0.4).goesOn).toBe(true);
    expect(asked(yields, { steps: 50, gain: 0.8, ms: 1, price: 0.5 })).toBe(50);
  });

  it("asks no question for want of a time where that was measured", () => {
    const count = (times?: QuestionTimes) => {
      const yields = new Yields(times);
      // Dearer than what is hoped of it, from the first question on.
      return asked(yields, { steps: 100, gain: 0, ms: 10, price: 0.5 });
    };
    expect(count()).toBe(12);
    expect(count(new QuestionTimes({ first: 10, next: 10 }))).toBeLessThan(2);
    // Cheap ones are asked until it is known what they bring.
    const cheap = asked(new Yields(new QuestionTimes({ first: 1, next: 1 })), {
      steps: 100,
      gain: 0,
      price: 0.5,
    });
    expect(cheap).toBeGreaterThan(3);
    expect(cheap).toBeLessThan(12);
    const times = new QuestionTimes({ first: 1, next: 10 });
    times.observe(1, 10);
    expect(goesOn(new Yields(times), { value: 1, price: 0.5 })).toBe(false);
    expect(goesOn(new Yields(times), { value: 1, price: 0.05 })).toBe(true);
  });

  it("expects little of a node that is hardly worth its row", () => {
    const yields = timed();
    expect(goesOn(yields, { value: 0.5, row: 0.1, price: 0.1 })).toBe(true);
    expect(goesOn(yields, { value: 0.5, row: 0.45, price: 0.1 })).toBe(false);
    expect(goesOn(yields, { value: 0.5, row: 0.45, price: 0 })).toBe(true);
  });

  it("goes on where questions about such nodes brought more than they cost", () => {
    const yields = timed();
    const [cheap, dear, named] = [{ row: 0.1 }, { row: 0.26 }, { row: 0.1, named: 0.4 }];
    for (let i = 0; i < 300; i++) {
      ask(yields, cheap, 0.4);
      ask(yields, dear, 0.01);
      ask(yields, named, 0.01);
    }
    expect(goesOn(yields, { ...cheap, price: 0.3 })).toBe(true);
    expect(goesOn(yields, { ...dear, price: 0.3 })).toBe(false);
    // What tables have named is another kind.
    expect(goesOn(yields, { ...named, price: 0.3 })).toBe(false);
    // By part of a node's value, whatever that is.
    expect(goesOn(yields, { value: 0.05, row: 0.01, price: 0.3 })).toBe(false);
    expect(goesOn(yields, { value: 1, row: 0.2, price: 0.7 })).toBe(true);
  });

  it("knows a kind for any node, also where rows cost nothing or more than it is worth", () => {
    const yields = timed();
    for (const value of [1e-9, 0.3, 1]) {
      for (const row of [0, 1e-12, 0.3, 0.999, 5]) {
        for (const named of [0, value / 2, value]) {
          expect(ask(yields, { value, named, row }, 0.1).expected).toBeGreaterThan(0);
        }
      }
    }
    expect([...yields.values].every((value) => Number.isFinite(value) && value >= 0)).toBe(true);
  });

  it("takes along nodes that are worth one more row of a question, and learns of each", () => {
    const yields = timed();
    const price = 0.3;
    const question = new Question();
    expect(yields.about(question, 0.1, 0, 0.09, price)).toBe(true);
    expect(yields.about(question, 0.8, 0, 0.1, price)).toBe(true);
    expect(yields.about(question, 0.8, 0, 0.7, price)).toBe(false);
    expect(yields.goesOn(question, price)).toBe(true);
    // Half of what was expected, of both, whatever another text asks meanwhile.
    ask(yields, { value: 0.5, row: 0.2 });
    const before = yields.values.slice();
    yields.observeNext(question, (0.55 * 0.8 + 0.02 * 0.1) / 2, 1);
    const changed = [...yields.values.keys()].filter((i) => i % 2 === 0 && yields.values[i] !== before[i]);
    expect(changed.map((i) => before[i])).toEqual([0.55, 0.02]);
    for (const i of changed) expect(yields.values[i]).toBeCloseTo(before[i]! * (1 - 0.5 / 13), 10);
  });

  it("can be kept, unless its numbers cannot be", () => {
    const [one, other] = [new Yields(), new Yields()];
    asked(one, { gain: 0, steps: 500 });
    expect(other.accepts(one.values.slice())).toBe(true);
    other.values.set(one.values);
    // Times are kept elsewhere: they are the machine's.
    for (let i = 0; i < 12; i++) other.observeFirst(1);
    expect(asked(other, { gain: 0, steps: 50 })).toBeLessThan(3);
    expect(other.accepts(one.values.map(() => Number.NaN))).toBe(false);
    expect(other.accepts(one.values.map(() => -1))).toBe(false);
  });
});
