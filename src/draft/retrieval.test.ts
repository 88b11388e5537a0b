import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import { EspalierError } from "../errors.ts";
import { uniform } from "../random.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";
import type { Continuations, RetrievalSource } from "./continuations.ts";
import { RetrievalDrafter, type RetrievalPlaces } from "./retrieval.ts";
import { RetrievalOdds } from "./retrieval-odds.ts";
import { TextMemory } from "./text-memory.ts";

const drafterOf = (places: Partial<RetrievalPlaces> = {}) =>
  new RetrievalDrafter({ odds: new RetrievalOdds(), ...places });

/** Candidates behind the root of a text, and below it behind `path`. */
function guesses(drafter: RetrievalDrafter, root: TokenId, path: readonly TokenId[] = [], width = 8) {
  const tree = new DraftTree(root, 32);
  let node = 0;
  for (const token of path) node = tree.push(node, token, 0.5);
  return drafter.expand(tree, [node], width)[0]!;
}

/** A store that says the same of every text, and keeps what it was asked. */
class OneAnswer implements RetrievalSource {
  readonly fingerprint = "";
  readonly asked: TokenId[][] = [];
  readonly #answer: Continuations | Error;

  constructor(answer: Continuations | Error) {
    this.#answer = answer;
  }

  match(context: ArrayLike<TokenId>): Continuations {
    this.asked.push(Array.from(context));
    if (this.#answer instanceof Error) throw this.#answer;
    return this.#answer;
  }
}

/** 30 of 40 places went on with 5, 20 of them with 6 behind it, 2 with 8; 10 went on with 7. */
const CONTINUATIONS: Continuations = {
  matched: 3,
  hits: 40,
  tokens: Int32Array.of(5, 6, 7, 8),
  parents: Int32Array.of(-1, 0, -1, 0),
  counts: Int32Array.of(30, 20, 10, 2),
};

describe("RetrievalDrafter", () => {
  it("guesses what followed the longest match, most often first, of equals last; then what followed shorter ones", () => {
    const drafter = drafterOf();
    drafter.begin([1, 2, 3, 4, 9, 2, 3, 5, 9, 2, 3, 5, 8, 3, 6, 7, 2, 3]);
    expect(guesses(drafter, 3).tokens).toEqual([5, 4, 6]);
    expect(guesses(drafter, 3, [], 2).tokens).toEqual([5, 4]);
    // 3 5 stood twice before, and went on differently.
    expect(guesses(drafter, 3, [5]).tokens).toEqual([8, 9]);
    expect(guesses(drafter, 3, [77]).tokens).toEqual([]);
  });

  it("finds after any steps what one finds that reads the text anew, however often and in whatever order it is asked", () => {
    let drawn = 0;
    const random = (below: number) => Math.floor(below * uniform(7, drawn++));
    const places = {
      odds: new RetrievalOdds(),
      earlier: new TextMemory(),
      store: new OneAnswer(CONTINUATIONS),
    };
    const text = Array.from({ length: 120 }, () => random(9));
    places.earlier.remember(text.slice(0, 70));
    const drafter = drafterOf(places);
    drafter.begin(text);
    let answers = 0;
    for (let step = 0; step < 80; step++) {
      const tree = new DraftTree(text.at(-1)!, 12);
      while (tree.size < 12) {
        const [parent, token] = [random(tree.size), random(9)];
        if (tree.child(parent, token) < 0) tree.push(parent, token, 0.5);
      }
      const asked = Array.from({ length: 16 }, () => random(tree.size));
      const anew = drafterOf(places);
      const expected = asked.map((node) => {
        anew.begin(text);
        return structuredClone(anew.expand(tree, [node], 8)[0]!);
      });
      expect(drafter.expand(tree, asked, 8)).toEqual(expected);
      answers += expected.filter(({ tokens }) => tokens.length > 0).length;
      // What is verified may be a part of the tree, its nodes in other places.
      const path = tree.path(random(tree.size)).map((node) => tree.tokens[node]!);
      const kept = new DraftTree(path[0]!, 12);
      for (const [i, token] of path.slice(1).entries()) kept.push(i, token, 0.5);
      const picked = random(9);
      drafter.observe(outcomeOf(kept, [...path.keys()], picked));
      text.push(...path.slice(1), picked);
    }
    expect(answers).toBeGreaterThan(1000);
  });

  it("goes round in a text that repeats itself", () => {
    const drafter = drafterOf();
    drafter.begin([1, 2, 3, 1, 2, 3, 1]);
    expect(guesses(drafter, 1, [2, 3, 1, 2, 3, 1, 2]).tokens).toEqual([3]);
  });

  it("finds accepted tokens, but not before they are", () => {
    const drafter = drafterOf();
    drafter.begin([1, 2]);
    const tree = new DraftTree(2, 4);
    const node = tree.push(0, 7, 0.5);
    expect(guesses(drafter, 2).tokens).toEqual([]);
    drafter.observe(outcomeOf(tree, [0, node], 2));
    expect(guesses(drafter, 2).tokens).toEqual([7]);
  });

  it("takes tokens to be as likely as tokens found alike turned out to be", () => {
    const drafter = drafterOf();
    const text = [1, 2, 3];
    for (let i = 0; i < 40; i++) text.push(1, 2, 3);
    drafter.begin(text);
    const before = guesses(drafter, 3).probs[0]!;
    // What the text always said never comes.
    for (let i = 0; i < 20; i++) {
      drafter.observe(outcomeOf(new DraftTree(3, 1), [0], 3));
      drafter.begin(text);
    }
    expect(guesses(drafter, 3).tokens[0]).toBe(1);
    expect(guesses(drafter, 3).probs[0]!).toBeLessThan(before);
  });

  it("remembers texts that ended, also those that another one began with", async () => {
    const earlier = new TextMemory();
    const first = drafterOf({ earlier });
    first.begin([1, 2, 3, 4, 5]);
    await first[Symbol.asyncDispose]();
    const second = drafterOf({ earlier });
    second.begin([9, 2, 3]);
    expect(guesses(second, 3).tokens).toEqual([4]);
    // One token is not enough of a match in another text.
    second.begin([9, 8, 3]);
    expect(guesses(second, 3).tokens).toEqual([]);
    second.begin([6, 2, 3, 4]);
    expect(guesses(second, 4).tokens).toEqual([5]);
    second.begin([6, 2, 3, 4, 7, 7]);
    second.begin([6, 2, 3, 4]);
    expect(guesses(second, 4).tokens.toSorted()).toEqual([5, 7]);
  });

  it("asks the store once a step and follows its continuations", () => {
    const store = new OneAnswer(CONTINUATIONS);
    const drafter = drafterOf({ store });
    drafter.begin([1, 2, 3]);
    expect(guesses(drafter, 3).tokens).toEqual([5, 7]);
    expect(guesses(drafter, 3, [5]).tokens).toEqual([6, 8]);
    expect(guesses(drafter, 3, [7]).tokens).toEqual([]);
    expect(guesses(drafter, 3, [5, 6]).tokens).toEqual([]);
    expect(guesses(drafter, 3, [6]).tokens).toEqual([]);
    expect(store.asked).toEqual([[1, 2, 3]]);
    drafter.observe(outcomeOf(new DraftTree(3, 1), [0], 4));
    expect(guesses(drafter, 4).tokens).toEqual([5, 7]);
    expect(store.asked).toEqual([
      [1, 2, 3],
      [1, 2, 3, 4],
    ]);
  });

  it("is silent about a store that was changed meanwhile, and lets other errors through", () => {
    const changed = new OneAnswer(new EspalierError("store-changed", "changed"));
    const drafter = drafterOf({ store: changed });
    for (let turn = 0; turn < 3; turn++) {
      drafter.begin([turn + 10, 2, 1, 2]);
      expect(guesses(drafter, 2).tokens).toEqual([1]);
    }
    expect(changed.asked.length).toBe(1);
    const broken = drafterOf({ store: new OneAnswer(new Error("internal: a bug")) });
    broken.begin([1]);
    expect(() => guesses(broken, 1)).toThrow("internal: a bug");
  });
});

describe("TextMemory", () => {
  it("forgets the oldest texts when there are too many", () => {
    const memory = new TextMemory(60);
    const sizes: number[] = [];
    const knows = (first: number) => memory.automata.some((automaton) => automaton.next(0, first) > 0);
    for (let first = 0; first < 1000; first += 20) {
      memory.remember(Array.from({ length: 20 }, (_, i) => first + i));
      sizes.push(memory.automata.reduce((sum, { size }) => sum + size, 0));
      expect(knows(first)).toBe(true);
    }
    expect(Math.max(...sizes)).toBeLessThan(2 * (60 + 40));
    expect(knows(0)).toBe(false);
    expect(knows(960)).toBe(true);
  });
});
