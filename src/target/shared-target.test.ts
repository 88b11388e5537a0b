/** @file Shared targets keep the contract, and texts that run together get their rows out of common passes. */

import { describe, expect, it } from "vitest";
import { describeTarget } from "../../test/target-contract.ts";
import { DraftTree } from "../tree/draft-tree.ts";
import type { TokenId } from "../types.ts";
import { ALONE, type PassPart } from "./company.ts";
import { type SharedSequence, SharedTarget } from "./shared-target.ts";
import type { Target } from "./target.ts";
import { ToyTarget } from "./toy.ts";

describeTarget("shared toy", async () => new SharedTarget(new ToyTarget()));

/** A shared toy that notes what goes through the target: trees of a pass, or tokens of a chunk. */
function watched(options: ConstructorParameters<typeof ToyTarget>[0] = {}) {
  const toy = new ToyTarget({ chunk: 128, ...options });
  const log: string[] = [];
  const create = toy.createSequence.bind(toy);
  toy.createSequence = async (options) => {
    const sequence = await create(options);
    const { forward, prefill } = sequence;
    sequence.forward = (...args) => {
      if (!inAll) log.push("1");
      return forward.apply(sequence, args);
    };
    sequence.prefill = (tokens, options) => {
      log.push(`+${tokens.length}`);
      return prefill.call(sequence, tokens, options);
    };
    return sequence;
  };
  let inAll = false;
  const all = toy.forwardAll.bind(toy);
  toy.forwardAll = (batch, want) => {
    log.push(`${batch.length}`);
    inAll = true;
    const passes = all(batch, want);
    inAll = false;
    return passes;
  };
  const passes: (readonly PassPart[])[] = [];
  const target = new SharedTarget(toy, (parts) => passes.push(parts));
  return { target, toy: toy as Target, log, passes };
}

/** Decodes plainly, as a step does: gives the tokens. */
async function decode(
  sequence: SharedSequence,
  first: TokenId,
  count: number,
  nodes = 1,
): Promise<TokenId[]> {
  const said: TokenId[] = [first];
  while (said.length < count) {
    sequence.announce();
    const tree = new DraftTree(said.at(-1)!, nodes);
    while (tree.size < nodes) tree.push(0, tree.size, 0.1);
    const pass = await sequence.forward(tree, { topK: 1 + (first % 3) });
    if (pass.k !== 1 + (first % 3)) throw new Error(`rows of ${pass.k} tokens`);
    said.push(pass.tokens[0]!);
    sequence.commit([0]);
  }
  sequence.rollback();
  return said;
}

const sequences = (target: SharedTarget, count: number) =>
  Promise.all(Array.from({ length: count }, () => target.createSequence({ capacity: 200 })));

describe("SharedTarget", () => {
  it("runs one text alone without a detour", async () => {
    const { target, log } = watched();
    const [only] = await sequences(target, 1);
    await decode(only!, 5, 4);
    expect(log).toEqual(["1", "1", "1"]);
    expect(only!.company).toEqual(ALONE);
  });

  it("runs a text without a detour beside one whose reader has left it standing", async () => {
    const { target, log } = watched();
    const [one, other] = await sequences(target, 2);
    await decode(one!, 5, 20);
    other!.announce();
    await other!.forward(new DraftTree(1, 1), { topK: 1 });
    expect(one!.crowded).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(one!.crowded).toBe(false);
    log.length = 0;
    let turns = 0;
    const count = () => {
      turns++;
      immediate = setImmediate(count);
    };
    let immediate = setImmediate(count);
    await decode(one!, 5, 20);
    clearImmediate(immediate);
    expect(turns).toBe(0);
    expect(log).toEqual(Array(19).fill("1"));
  });

  it("runs texts together, each with the tokens it has alone", async () => {
    const alone: TokenId[][] = [];
    for (const first of [1, 2, 3, 4]) {
      const [only] = await sequences(watched().target, 1);
      alone.push(await decode(only!, first, 20));
    }
    const { target, log, passes } = watched();
    const all = await sequences(target, 4);
    expect(await Promise.all(all.map((sequence, i) => decode(sequence, i + 1, 20)))).toEqual(alone);
    // The first one had started before the others came.
    expect(log.filter((entry) => entry === "4").length).toBeGreaterThanOrEqual(17);
    const ofFour = passes.filter((parts) => parts.length === 4);
    expect(ofFour.length).toBe(log.filter((entry) => entry === "4").length);
    // Each is told of with its own rows and the tokens they stand behind.
    expect(ofFour.at(-1)!.every(({ rows }) => rows === 1)).toBe(true);
    for (const [i, parts] of ofFour.slice(1).entries())
      expect(parts.map(({ length }) => length)).toEqual(ofFour[i]!.map(({ length }) => length + 1));
    const last = all.find(({ company }) => company.texts === 3)!.company;
    expect(last.rows).toBe(3);
    expect(last.length).toBeGreaterThan(0);
  });

  it("puts no more nodes into a pass than it takes, and leaves nobody out", async () => {
    const { target, passes } = watched({ maxNodes: 10 });
    const all = await sequences(target, 5);
    const texts = await Promise.all(all.map((sequence, i) => decode(sequence, i + 1, 12, 4)));
    for (const [i, text] of texts.entries()) {
      const [only] = await sequences(watched().target, 1);
      expect(text).toEqual(await decode(only!, i + 1, 12));
    }
    expect(Math.max(...passes.map((parts) => parts.reduce((sum, { rows }) => sum + rows, 0)))).toBe(8);
  });

  it("tells the one that is to blame, and the others nothing", async () => {
    const { target } = watched();
    const [good, bad] = await sequences(target, 2);
    const wrong = (async () => {
      await decode(bad!, 1, 5);
      bad!.announce();
      await bad!.forward(new DraftTree(999, 1), { topK: 1 });
    })();
    const [right, failure] = await Promise.all([
      decode(good!, 2, 12),
      wrong.catch((error: unknown) => error),
    ]);
    expect(failure).toBeInstanceOf(RangeError);
    const [only] = await sequences(watched().target, 1);
    expect(right).toEqual(await decode(only!, 2, 12));
  });

  it("works with a target that cannot share, in turns", async () => {
    const { target, toy, passes } = watched();
    delete (toy as { forwardAll?: unknown }).forwardAll;
    Object.defineProperty(toy, "forwardAll", { value: undefined });
    const all = await sequences(target, 3);
    const texts = await Promise.all(all.map((sequence, i) => decode(sequence, i + 1, 9)));
    const [only] = await sequences(watched().target, 1);
    expect(texts[1]).toEqual(await decode(only!, 2, 9));
    expect(passes).toEqual([]);
  });

  it("reads prompts between the passes of others, in chunks, first come first served", async () => {
    const { target, log } = watched();
    const [decoding, one, two] = await sequences(target, 3);
    const prompt = Array.from({ length: 150 }, (_, i) => i % 48);
    await one!.prefill(prompt);
    expect(log.splice(0)).toEqual(["+128", "+22"]);
    one!.truncate(0);
    const done: string[] = [];
    const text = decode(decoding!, 7, 400 / 4);
    await Promise.all([
      text,
      one!.prefill(prompt).then(() => done.push("one")),
      two!.prefill(prompt).then(() => done.push("two")),
    ]);
    expect(done).toEqual(["one", "two"]);
    const chunks = log.flatMap((entry, at) => (entry.startsWith("+") ? [at] : []));
    // While somebody decodes, no two chunks follow each other.
    const end = log.lastIndexOf("1");
    for (const [i, at] of chunks.entries()) if (at < end) expect(chunks[i + 1]).not.toBe(at + 1);
    expect(one!.length).toBe(150);
    expect(two!.length).toBe(150);
  });

  it("forgets a prompt that is aborted before its turn, at once", async () => {
    const { target, log } = watched();
    const [one, two, three] = await sequences(target, 3);
    const prompt = Array.from({ length: 150 }, (_, i) => i % 48);
    const stop = new AbortController();
    const chunks: number[] = [];
    const first = one!.prefill(prompt, {
      onChunk: ({ done }) => {
        chunks.push(done);
        stop.abort(new Error("enough"));
      },
    });
    const second = two!.prefill(prompt, { signal: stop.signal });
    const third = three!.prefill([1, 2]);
    await expect(second).rejects.toThrow("enough");
    expect(chunks).toEqual([128]);
    await Promise.all([first, third]);
    expect(log).toEqual(["+128", "+22", "+2"]);
    expect([one!.length, two!.length, three!.length]).toEqual([150, 0, 2]);
  });

  it("waits neither for a reader that is slow nor for one that never comes back", async () => {
    const { target } = watched();
    const [slow, gone, quick] = await sequences(target, 3);
    await decode(slow!, 1, 2);
    // Its reader has a token, and no more is heard of it.
    gone!.announce();
    await gone!.forward(new DraftTree(1, 1), { topK: 1 });
    const text = await decode(quick!, 2, 50);
    const [only] = await sequences(watched().target, 1);
    expect(text).toEqual(await decode(only!, 2, 50));
  });

  it("goes on when one that the others wait for is freed", async () => {
    const { target } = watched();
    const [one, two] = await sequences(target, 2);
    one!.announce();
    let over = false;
    const text = decode(two!, 2, 5).finally(() => {
      over = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(over).toBe(false);
    await one![Symbol.asyncDispose]();
    expect((await text).length).toBe(5);
  });
});
