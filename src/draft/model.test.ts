import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { outcomeOf } from "../../test/outcomes.ts";
import type { Pass, TargetSequence } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";
import { modelOdds } from "./answers.ts";
import type { Candidates } from "./drafter.ts";
import { ModelDrafter } from "./model.ts";

const toy = () => new ToyTarget({ contextLength: 80, chunk: 8 });
const WIDTH = 5;

/** What the model says after `tokens`, read one by one. */
async function truth(tokens: readonly TokenId[]): Promise<Candidates> {
  const sequence = await toy().createSequence({ capacity: tokens.length });
  for (const token of tokens.slice(0, -1)) {
    await sequence.forward(new DraftTree(token, 1), { topK: 0 });
    sequence.commit([0]);
  }
  const pass = await sequence.forward(new DraftTree(tokens.at(-1)!, 1), { topK: WIDTH });
  return { tokens: [...pass.tokens], probs: [...pass.logProbs].map(Math.exp) };
}

/** Grows three levels of two nodes each, and checks every answer. */
async function grow(drafter: ModelDrafter, text: readonly TokenId[]): Promise<DraftTree> {
  const tree = new DraftTree(text.at(-1)!, 16);
  let level = [0];
  for (let depth = 0; depth < 3; depth++) {
    const answers = await drafter.expand(tree, level, WIDTH);
    const next: number[] = [];
    for (const [i, node] of level.entries()) {
      const path = tree.path(node).map((at) => tree.tokens[at]!);
      expect(answers[i]).toEqual(await truth([...text.slice(0, -1), ...path]));
      for (const rank of [0, 1]) {
        next.push(tree.push(node, answers[i]!.tokens[rank]!, answers[i]!.probs[rank]!));
      }
    }
    level = next.slice(0, 2);
  }
  return tree;
}

/** A toy that drafts chains by itself, and the rows of each of its calls. */
function aheadToy() {
  const model = toy();
  const passes: number[] = [];
  const create = model.createSequence.bind(model);
  model.createSequence = async (options) => {
    const sequence: TargetSequence = await create(options);
    sequence.forwardChain = async (tree, topK, { levels }, first = 0) => {
      const rows = { tokens: [] as number[], logProbs: [] as number[] };
      let pass: Pass;
      for (let from = first, more = levels; ; more--) {
        pass = await sequence.forward(tree, { topK }, from);
        rows.tokens.push(...pass.tokens.slice(-topK));
        rows.logProbs.push(...pass.logProbs.slice(-topK));
        if (more === 0) break;
        from = tree.push(tree.size - 1, rows.tokens.at(-topK)!, 1);
      }
      passes.push(rows.tokens.length / topK);
      const { logits, hidden, picks } = pass;
      const [tokens, logProbs] = [Int32Array.from(rows.tokens), Float32Array.from(rows.logProbs)];
      return { size: tokens.length / topK, k: topK, tokens, logProbs, logits, hidden, picks };
    };
    return sequence;
  };
  return { model, passes };
}

describe("ModelDrafter", () => {
  it("says what its model says after the text and the path, whatever was accepted before", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(47), { minLength: 1, maxLength: 20 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(47)), { maxLength: 5 }),
        async (prompt, steps) => {
          const drafter = new ModelDrafter(toy());
          const text = [...prompt];
          await drafter.begin(text);
          for (const [leaf, bonus] of steps) {
            const tree = await grow(drafter, text);
            const path = tree.path(leaf % tree.size);
            drafter.observe(outcomeOf(tree, path, bonus, text.length - 1));
            text.push(...path.slice(1).map((node) => tree.tokens[node]!), bonus);
          }
          await grow(drafter, text);
        },
      ),
      { numRuns: 60 },
    );
  });

  it("reads nothing while it rests, and the text when it is asked", async () => {
    const model = toy();
    let read = 0;
    const createSequence = model.createSequence.bind(model);
    model.createSequence = async (options) => {
      const sequence = await createSequence(options);
      const prefill = sequence.prefill.bind(sequence);
      sequence.prefill = (tokens, ...rest) => {
        read += tokens.length;
        return prefill(tokens, ...rest);
      };
      return sequence;
    };
    const drafter = new ModelDrafter(model);
    const text = Array.from({ length: 40 }, (_, i) => i);
    drafter.rest(true);
    await drafter.begin(text);
    expect(read).toBe(0);
    const tree = new DraftTree(39, 1);
    drafter.observe(outcomeOf(tree, [0], 40, 39));
    drafter.rest(false);
    await grow(drafter, [...text, 40]);
    expect(read).toBe(40);
  });

  it("reads all nodes of a question in one pass, and nothing twice", async () => {
    const drafter = new ModelDrafter(toy());
    await drafter.begin([1, 2, 3]);
    expect(drafter.passes).toBe(0);
    const tree = await grow(drafter, [1, 2, 3]);
    expect(drafter.passes).toBe(3);
    expect(await drafter.expand(tree, [0], WIDTH)).toEqual([await truth([1, 2, 3])]);
    expect(drafter.passes).toBe(3);
  });

  it("reads a chain ahead as far as the asker means to go, and says what it says without", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(47), { minLength: 1, maxLength: 20 }),
        fc.array(fc.tuple(fc.nat(), fc.nat(47), fc.boolean()), { maxLength: 5 }),
        fc.nat(6),
        async (prompt, steps, levels) => {
          const { model, passes } = aheadToy();
          const drafter = new ModelDrafter(model);
          const text = [...prompt];
          await drafter.begin(text);
          for (const [leaf, bonus, follows] of steps) {
            const tree = new DraftTree(text.at(-1)!, 16);
            passes.length = 0;
            for (let node = 0; node < 4; node++) {
              const outlook = { levels: Math.min(levels, 3 - node), worth: 0 };
              const [answer] = await drafter.expand(tree, [node], 2, outlook);
              const path = tree.path(node).map((at) => tree.tokens[at]!);
              const expected = await truth([...text.slice(0, -1), ...path]);
              expect([...answer!.tokens]).toEqual(expected.tokens.slice(0, 2));
              // Who does not go where it said it would gets answers all the same.
              tree.push(node, answer!.tokens[follows ? 0 : node % 2]!, 0.5);
            }
            if (follows) expect(passes.length).toBe(Math.ceil(4 / (1 + levels)));
            const path = tree.path(leaf % tree.size);
            drafter.observe(outcomeOf(tree, path, bonus, text.length - 1));
            text.push(...path.slice(1).map((node) => tree.tokens[node]!), bonus);
          }
        },
      ),
      { numRuns: 60 },
    );
  });

  it("goes on from what a new text shares with the one before", async () => {
    const drafter = new ModelDrafter(toy());
    for (const text of [[5, 6, 7, 8, 9, 10], [5, 6, 7, 1], [5, 6, 7], [9], [9, 9, 9, 9]]) {
      await drafter.begin(text);
      await grow(drafter, text);
    }
  });

  it("reads a long text that it was not asked about in passes of its own", async () => {
    const drafter = new ModelDrafter(toy());
    const text = [1];
    await drafter.begin(text);
    for (let token = 0; token < 45; token++) {
      drafter.observe(outcomeOf(new DraftTree(text.at(-1)!, 1), [0], token, text.length - 1));
      text.push(token);
    }
    await grow(drafter, text);
  });

  it("is silent where its context ends, and speaks again in a shorter text", async () => {
    const drafter = new ModelDrafter(toy());
    const long = Array.from({ length: 80 }, (_, i) => i % 48);
    await drafter.begin(long);
    const tree = new DraftTree(long.at(-1)!, 8);
    const [answer] = await drafter.expand(tree, [0], WIDTH);
    expect(answer).toEqual(await truth(long));
    const child = tree.push(0, answer!.tokens[0]!, 0.5);
    expect(await drafter.expand(tree, [child], WIDTH)).toEqual([{ tokens: [], probs: [] }]);
    drafter.observe(outcomeOf(tree, [0, child], 7, 79));
    expect(await drafter.expand(new DraftTree(7, 8), [0], WIDTH)).toEqual([{ tokens: [], probs: [] }]);
    await drafter.begin([...long, 1, 2]);
    expect(await drafter.expand(new DraftTree(2, 8), [0], WIDTH)).toEqual([{ tokens: [], probs: [] }]);
    await drafter.begin([1, 2, 3]);
    await grow(drafter, [1, 2, 3]);
  });

  it("stops reading a prompt when that is aborted", async () => {
    const drafter = new ModelDrafter(toy());
    await expect(drafter.begin([1, 2, 3], AbortSignal.abort())).rejects.toThrow();
    await drafter.begin([1, 2, 3]);
    await grow(drafter, [1, 2, 3]);
    await drafter[Symbol.asyncDispose]();
  });
});

describe("modelOdds", () => {
  it("are what the model says until the target was seen, and then how often it agreed", async () => {
    const odds = modelOdds();
    const drafter = new ModelDrafter(toy(), odds);
    const text = [1, 2, 3];
    const tree = new DraftTree(0, 8);
    const ask = async () => {
      await drafter.begin(text);
      tree.reset(text.at(-1)!);
      const [answer] = await drafter.expand(tree, [0], WIDTH);
      return answer!;
    };
    const said = await truth(text);
    const first = await ask();
    expect(first.tokens).toEqual(said.tokens);
    for (const [rank, prob] of first.probs.entries())
      expect(Math.abs(prob - said.probs[rank]!)).toBeLessThan(1 / 30);
    for (let step = 0; step < 300; step++) {
      const { tokens } = step === 0 ? first : await ask();
      // A target that always takes the second candidate.
      drafter.observe(outcomeOf(tree, [0], tokens[1]!, text.length - 1));
    }
    const { probs } = await ask();
    expect(probs[0]).toBeLessThan(0.2);
    // All but the first candidate are one class here, and one of the four is right.
    expect(probs[1]).toBeCloseTo(1 / (WIDTH - 1), 1);
    for (const prob of odds.probs) {
      expect(prob).toBeGreaterThan(0);
      expect(prob).toBeLessThan(1);
    }
  });
});
