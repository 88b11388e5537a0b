import { describe, expect, it } from "vitest";
import { outcomeOf, passOfRows } from "../../test/outcomes.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import { RecycleDrafter, RecycleMatrix } from "./recycle.ts";

const row = (first: number) => [0, 1, 2, 3, 4, 5, 6, 7].map((i) => first + i);

function known(matrix: RecycleMatrix, token: number): readonly number[] {
  return new RecycleDrafter(matrix).expand(new DraftTree(token, 1), [0], 8)[0]!.tokens;
}

describe("RecycleDrafter", () => {
  it("takes the first 8 tokens of every row, accepted or not, and knows nothing else", () => {
    const matrix = new RecycleMatrix(1000);
    const tree = new DraftTree(1, 4);
    tree.push(0, 2, 0.5);
    tree.push(0, 3, 0.5);
    new RecycleDrafter(matrix).observe(outcomeOf(tree, [0, 1], 9));
    expect([1, 2, 3].map((token) => known(matrix, token))).toEqual([row(100), row(200), row(300)]);
    expect(known(matrix, 4)).toEqual([]);
    expect(matrix.has(4)).toBe(false);
  });

  it("of equal tokens keeps the accepted one, else the shallowest", () => {
    const matrix = new RecycleMatrix(1000);
    const tree = new DraftTree(1, 8);
    const two = tree.push(0, 2, 0.5);
    const deep = tree.push(tree.push(0, 4, 0.5), 3, 0.5);
    const shallow = tree.push(0, 3, 0.1);
    const five = tree.push(two, 5, 0.4);
    tree.push(0, 5, 0.1);
    new RecycleDrafter(matrix).observe(outcomeOf(tree, [0, two, five], 9));
    expect(known(matrix, 3)).toEqual(row(100 * (shallow + 1)));
    expect(known(matrix, 5)).toEqual(row(100 * (five + 1)));
    expect(deep).toBeLessThan(shallow);
  });

  it("reads what it knew before the step until the step is observed", () => {
    const matrix = new RecycleMatrix(1000);
    const drafter = new RecycleDrafter(matrix);
    drafter.observePrompt([7, 8], passOfRows([row(20), row(40)]));
    expect([known(matrix, 7), known(matrix, 8)]).toEqual([row(20), row(40)]);
    expect(drafter.expand(new DraftTree(7, 1), [0], 3)[0]!.tokens).toEqual([20, 21, 22]);
  });

  it("learns how often each rank is right, drafted or not", () => {
    const matrix = new RecycleMatrix(1000);
    const drafter = new RecycleDrafter(matrix);
    for (let i = 0; i < 500; i++) {
      drafter.observePrompt([1], passOfRows([row(20)]));
      drafter.observe(outcomeOf(new DraftTree(1, 1), [0], i % 4 === 0 ? 22 : 500));
    }
    const { probs } = drafter.expand(new DraftTree(1, 1), [0], 8)[0]!;
    expect(probs[2]).toBeGreaterThan(0.2);
    expect(probs[2]).toBeLessThan(0.3);
    for (const rank of [0, 1, 3, 7]) expect(probs[rank]).toBeLessThan(0.05);
  });

  it("can be seeded with the prompt's bigrams, or not at all", () => {
    const matrix = new RecycleMatrix(100);
    const drafter = new RecycleDrafter(matrix, "bigrams");
    expect(drafter.rows.prompt).toBe(0);
    drafter.begin([1, 2, 1, 3, 1, 2]);
    expect(known(matrix, 1)).toEqual([2, 3]);
    expect(known(matrix, 2)).toEqual([1]);
    drafter.begin([1, 2, 1, 3, 1, 2, 9]);
    expect(known(matrix, 2)).toEqual([9, 1]);
    for (let next = 10; next < 25; next++) drafter.begin([50, next]);
    expect(known(matrix, 50)).toEqual([24, 23, 22, 21, 20, 19, 18, 17]);
    const none = new RecycleMatrix(100);
    new RecycleDrafter(none, "none").begin([1, 2]);
    expect(known(none, 1)).toEqual([]);
  });

  it("counts rows of other texts, of the prompt and of the text itself apart", () => {
    const matrix = new RecycleMatrix(1000);
    const expectedOf = (drafter: RecycleDrafter) => drafter.expand(new DraftTree(1, 1), [0], 1)[0]!.probs[0]!;
    const prior = matrix.odds.probs[0]!;
    const own = new RecycleDrafter(matrix);
    for (let i = 0; i < 500; i++) {
      own.observePrompt([1], passOfRows([row(20)]));
      own.observe(outcomeOf(new DraftTree(1, 1), [0], 20));
    }
    expect(expectedOf(own)).toBeGreaterThan(0.9);
    const other = new RecycleDrafter(matrix);
    expect(expectedOf(other)).toBe(prior);
    other.observe(outcomeOf(new DraftTree(1, 1), [0], 500));
    expect(expectedOf(new RecycleDrafter(matrix))).toBeLessThan(prior);
    const prompted = new RecycleDrafter(matrix);
    prompted.begin([1, 30]);
    expect(expectedOf(prompted)).toBe(prior);
    expect(expectedOf(own)).toBeGreaterThan(0.9);
  });

  it("takes under 2 MB at a vocabulary of 32k", () => {
    expect(new RecycleMatrix(32_000).rows.byteLength).toBeLessThan(2e6);
  });
});
