import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { ToyHead } from "../../test/toy-head.ts";
import { collect, toyModel } from "../../test/toy-model.ts";
import type { TargetSequence } from "../target/target.ts";
import { ToyTarget } from "../target/toy.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";
import type { Candidates } from "./drafter.ts";
import { EagleDrafter } from "./eagle.ts";

const WIDTH = 4;
const CONTEXT = 90;
/** Room for texts whose beginning is forgotten. */
const LONG_CONTEXT = 900;
// It looks one token back, so that a feature and a token tell all: a head that is given the right ones is always right.
const target = new ToyTarget({ order: 1, chunk: 8, contextLength: LONG_CONTEXT });

/** What the target says after `tokens`. */
async function truth(tokens: readonly TokenId[]): Promise<Candidates> {
  const sequence = await target.createSequence({ capacity: tokens.length });
  await sequence.prefill(tokens.slice(0, -1));
  const pass = await sequence.forward(new DraftTree(tokens.at(-1)!, 1), { topK: WIDTH });
  return { tokens: [...pass.tokens], probs: [...pass.logProbs].map(Math.exp) };
}

function expectSame(answer: Candidates, expected: Candidates): void {
  expect(answer.tokens).toEqual(expected.tokens);
  for (const [rank, prob] of answer.probs.entries()) expect(prob).toBeCloseTo(expected.probs[rank]!, 5);
}

/** A text that target and drafter read as a session would have them do. */
class Reader {
  readonly head: ToyHead;
  drafter: EagleDrafter;
  readonly sequence: TargetSequence;
  text: TokenId[] = [];

  constructor(sequence: TargetSequence, head: ToyHead) {
    this.sequence = sequence;
    this.head = head;
    this.drafter = new EagleDrafter(this.head, sequence.capacity);
  }

  static async open(capacity = CONTEXT, head = new ToyHead(target)): Promise<Reader> {
    return new Reader(await target.createSequence({ capacity }), head);
  }

  /** Begins a text; gives the positions that the target has read for it. */
  async begin(text: readonly TokenId[], signal?: AbortSignal): Promise<number> {
    const { drafter, sequence } = this;
    let same = 0;
    while (same < sequence.length && same < text.length - 1 && text[same] === this.text[same]) same++;
    sequence.truncate(Math.min(same, drafter.resume(text, same)));
    this.text = [...text];
    const before = sequence.length;
    await sequence.prefill(text.slice(before, -1), {
      want: { topK: 0, taps: drafter.taps },
      ...(signal && { signal }),
      onChunk: ({ tokens, pass }) => drafter.observePrompt(tokens, pass, sequence.length - tokens.length),
    });
    return sequence.length - before;
  }

  /** Grows three levels, and checks every answer. */
  async grow(): Promise<DraftTree> {
    const tree = new DraftTree(this.text.at(-1)!, 32);
    for (const node of [0, 1, 2, 3, 6]) {
      if (node >= tree.size) break;
      const [answer] = await this.drafter.expand(tree, [node], WIDTH);
      const path = tree.path(node).map((at) => tree.tokens[at]!);
      expectSame(answer!, await truth([...this.text.slice(0, -1), ...path]));
      for (const rank of [0, 1]) tree.push(node, answer!.tokens[rank]!, answer!.probs[rank]!);
    }
    return tree;
  }

  /** The target accepts the path to `node`, and ends it with `bonus`. */
  async accept(tree: DraftTree, node: number, bonus: TokenId): Promise<void> {
    const { sequence, drafter } = this;
    const position = sequence.length;
    const pass = await sequence.forward(tree, { topK: 0, taps: drafter.taps });
    const path = tree.path(node);
    sequence.commit(path);
    await drafter.observe({ tree, pass, path, bonus, position });
    this.text.push(...path.slice(1).map((at) => tree.tokens[at]!), bonus);
  }
}

const tokens = (count: number, seed = 0) => Array.from({ length: count }, (_, i) => (i * 7 + seed) % 48);

describe("EagleDrafter", () => {
  it("gives its head the right rows, so that a perfect head is right after any prompt, paths and turns", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            keep: fc.nat(12),
            fresh: fc.array(fc.nat(47), { minLength: 1, maxLength: 30 }),
            steps: fc.array(fc.record({ asked: fc.boolean(), leaf: fc.nat(), bonus: fc.nat(47) }), {
              maxLength: 4,
            }),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        async (turns) => {
          const reader = await Reader.open();
          for (const { keep, fresh, steps } of turns) {
            const kept = keep > 10 ? reader.text.slice(0, 40) : reader.text.slice(0, keep);
            await reader.begin([...kept, ...fresh]);
            for (const { asked, leaf, bonus } of steps) {
              const ask = asked && reader.text.length > 1;
              const tree = ask ? await reader.grow() : new DraftTree(reader.text.at(-1)!, 1);
              await reader.accept(tree, leaf % tree.size, bonus);
            }
            if (reader.text.length > 1) await reader.grow();
          }
          await reader.drafter[Symbol.asyncDispose]();
          await reader.head[Symbol.asyncDispose]();
        },
      ),
      { numRuns: 80 },
    );
  });

  it("reads a path that others drafted, and that is longer than a pass of its head", async () => {
    const reader = await Reader.open(CONTEXT, new ToyHead(target, { maxNodes: 20 }));
    await reader.begin(tokens(9));
    for (const depth of [15, 19, 30]) {
      await reader.grow();
      const tree = new DraftTree(reader.text.at(-1)!, depth + 1);
      for (let node = 0; node < depth; node++) tree.push(node, (node * 11) % 48, 0.5);
      await reader.accept(tree, depth, 5);
    }
    await reader.grow();
    await reader.drafter[Symbol.asyncDispose]();
  });

  it("forgets how the text began when nobody asks for long, and is right about what comes then, and in other turns", async () => {
    const reader = await Reader.open(LONG_CONTEXT);
    const { drafter, sequence } = reader;
    await reader.begin(tokens(60));
    await reader.grow();
    const read = vi.spyOn(ToyHead.prototype, "row");
    drafter.rest(true);
    await reader.begin(tokens(500));
    for (let i = 0; i < 40; i++) await reader.accept(new DraftTree(reader.text.at(-1)!, 1), 0, (i * 5) % 48);
    expect(read).not.toHaveBeenCalled();
    drafter.rest(false);
    await reader.grow();
    const rows = read.mock.calls.length;
    expect(rows).toBeGreaterThan(100);
    expect(rows).toBeLessThan(300);
    read.mockRestore();
    await reader.accept(await reader.grow(), 1, 11);
    await reader.grow();
    // From the middle of what is remembered, of what is forgotten, and from the start.
    for (const kept of [520, 300, 200, 0]) {
      const before = sequence.length;
      await reader.begin([...reader.text.slice(0, kept), ...tokens(20, kept + 1)]);
      expect(before).toBeGreaterThan(kept);
      await reader.grow();
    }
    await drafter[Symbol.asyncDispose]();
    await reader.head[Symbol.asyncDispose]();
  });

  it("comes to a text that the target has, and does without what is long over", async () => {
    const reader = await Reader.open(LONG_CONTEXT);
    const text = tokens(400);
    for (const [cached, read] of [
      [399, 0],
      [390, 9],
      [120, 399],
    ] as const) {
      await reader.begin([1, 2]);
      await reader.begin(text.slice(0, cached + 1));
      await reader.drafter[Symbol.asyncDispose]();
      reader.drafter = new EagleDrafter(reader.head, LONG_CONTEXT);
      expect(await reader.begin(text)).toBe(read);
      await reader.accept(new DraftTree(text.at(-1)!, 1), 0, 9);
      await reader.accept(await reader.grow(), 1, 11);
      await reader.grow();
    }
  });

  it("is silent about the first token of a text, which has no feature before it", async () => {
    const reader = await Reader.open();
    await reader.begin([5]);
    const tree = new DraftTree(5, 8);
    expect(await reader.drafter.expand(tree, [0], WIDTH)).toEqual([{ tokens: [], probs: [] }]);
    await reader.accept(tree, 0, 9);
    await reader.grow();
  });

  it("answers about all nodes of a question in one pass, and about none twice", async () => {
    const reader = await Reader.open();
    await reader.begin(tokens(20));
    const { drafter } = reader;
    const tree = new DraftTree(reader.text.at(-1)!, 32);
    const [root] = await drafter.expand(tree, [0], WIDTH);
    const level = root!.tokens.map((token, rank) => tree.push(0, token, root!.probs[rank]!));
    const answers = await drafter.expand(tree, level, WIDTH);
    expect(drafter.passes).toBe(2);
    expect(await drafter.expand(tree, level, WIDTH)).toEqual(answers);
    expect(drafter.passes).toBe(2);
  });

  it("answers about nodes whose parents it was not asked about", async () => {
    const reader = await Reader.open();
    await reader.begin(tokens(9));
    const tree = new DraftTree(reader.text.at(-1)!, 32);
    const path = [7, 7, 3, 20].map((token) => tree.push(tree.size - 1, token, 0.5));
    const other = tree.push(1, 9, 0.5);
    const answers = await reader.drafter.expand(tree, [path[3]!, other], WIDTH);
    expectSame(answers[0]!, await truth([...reader.text, 7, 7, 3, 20]));
    expectSame(answers[1]!, await truth([...reader.text, 7, 9]));
  });

  it("goes on with a conversation without reading it again, but for what it lacks", async () => {
    const reader = await Reader.open();
    expect(await reader.begin(tokens(40))).toBe(39);
    await reader.accept(await reader.grow(), 1, 11);
    const { text } = reader;
    expect(await reader.begin([...text, 1, 2, 3])).toBe(3);
    expect(await reader.begin(text)).toBe(0);
    // A row needs the feature of the position before its token, and those of rows that were read are gone.
    expect(await reader.begin([...text.slice(0, 10), 1, 2, 3])).toBe(3);
    await reader.grow();
  });

  it("is ready for the next turn when reading was aborted", async () => {
    const reader = await Reader.open();
    const abort = new AbortController();
    const begun = reader.begin(tokens(60), abort.signal);
    setImmediate(() => setImmediate(() => abort.abort()));
    await expect(begun).rejects.toThrow();
    await reader.begin([...tokens(50), 3]);
    await reader.grow();
  });

  it("has no answer for nodes beyond the context or its room", async () => {
    const reader = await Reader.open();
    await reader.begin(tokens(CONTEXT - 1));
    const tree = new DraftTree(reader.text.at(-1)!, 200);
    const [first, second] = [tree.push(0, 1, 0.5), tree.push(1, 2, 0.5)];
    const [last, beyond] = await reader.drafter.expand(tree, [first, second], WIDTH);
    expect(last!.tokens.length).toBe(WIDTH);
    expect(beyond).toEqual({ tokens: [], probs: [] });
    await reader.begin(tokens(20));
    tree.reset(reader.text.at(-1)!);
    for (let node = 1; node < 100; node++) tree.push(0, node % 48, 0.5);
    const answers = await reader.drafter.expand(tree, [...Array(100).keys()].slice(1), WIDTH);
    const given = answers.filter((answer) => answer.tokens.length > 0).length;
    // The chain of the text's new rows takes some of it.
    expect(given).toBeLessThan(64);
    expect(given).toBeGreaterThan(64 - 20);
  });
});

describe("method eagle", () => {
  const run = async (head: ToyHead, budget: number) => {
    await using model = toyModel({ order: 1, contextLength: CONTEXT }, { head, endTokens: [] });
    const request = { tokens: tokens(30), maxTokens: 41 };
    const plain = await collect(model.generate({ ...request, method: "plain" }));
    const drafted = await collect(model.generate({ ...request, method: "eagle", budget }));
    expect(drafted.tokens).toEqual(plain.tokens);
    return drafted;
  };

  it("accepts whole paths of a perfect head", async () => {
    const { end } = await run(new ToyHead(target), 49);
    // 8 levels and the bonus token.
    expect(end.stats.passes).toBe(Math.ceil(41 / 9));
  });

  it("never drafts what is not in the head's vocabulary", async () => {
    await using few = new EagleDrafter(new ToyHead(target, { hidden: 24 }), 64);
    few.resume([1, 2], 0);
    expect([23, 24, 47, 48].map((token) => few.names(token))).toEqual([false, true, true, false]);
    const { tokens: said, end } = await run(new ToyHead(target, { hidden: 24 }), 20);
    expect(said.some((token) => token < 24)).toBe(true);
    expect(end.stats.byDrafter.eagle!.accepted).toBeLessThanOrEqual(
      said.filter((token) => token >= 24).length,
    );
    expect(end.stats.byDrafter.eagle!.accepted).toBeGreaterThan(0);
  });

  it("is only there with a head, and says so", () => {
    const model = toyModel();
    expect(model.methodNames).not.toContain("eagle");
    expect(() => model.method("eagle")).toThrow(/draft head.*--head/);
    expect(() => toyModel({}, { head: Object.assign(new ToyHead(target), { taps: [1, 3] }) })).toThrow(
      /layers 1, 3/,
    );
  });
});
