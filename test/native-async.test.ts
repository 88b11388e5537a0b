/** @file Passes run off the JavaScript thread, one after the other, and end cleanly when somebody leaves early. */

import { getEventListeners } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { engine, selectIsa } from "../src/engine/binding.ts";
import type { NativeTarget } from "../src/engine/native-target.ts";
import { DraftTree } from "../src/tree/draft-tree.ts";
import { nativeTarget, numbers, randomLlama, randomTokens } from "./native-model.ts";
import { checkRow, everything, plainRows, plainTree, randomTree, readOne } from "./same-bits.ts";

const VOCAB = 300;
const best = engine().currentIsa();
let target: NativeTarget;

/** The slowest there is makes passes long enough to look at on any machine; under sanitizers all of them are. */
const slow = () => {
  if (process.env.ESPALIER_TESTS !== "few") selectIsa(engine(), "generic");
};

beforeAll(async () => {
  const shape = {
    layers: 2,
    hiddenSize: 384,
    heads: 6,
    kvHeads: 2,
    feedForwardSize: 512,
    vocabSize: VOCAB,
  };
  target = await nativeTarget(randomLlama(shape, 3), { threads: 2 });
});
afterEach(() => selectIsa(engine(), best));
afterAll(() => target[Symbol.asyncDispose]());

/** How often a 5 ms timer fires while `work` is under way. */
async function ticksDuring(work: () => Promise<unknown>): Promise<number> {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 5);
  try {
    await work();
  } finally {
    clearInterval(timer);
  }
  return ticks;
}

describe("the JavaScript thread", () => {
  it("is free during a pass", async () => {
    slow();
    await using sequence = await target.createSequence({ capacity: 200 });
    const tree = new DraftTree(0, target.maxNodes);
    for (let node = 1; node < target.maxNodes; node++) tree.push(node - 1, node, 0.5);
    const passes = 6;
    let ticks = 0;
    for (let pass = 0; pass < passes; pass++) {
      ticks += await ticksDuring(() => sequence.forward(tree, { topK: 4 }));
    }
    expect(ticks).toBeGreaterThan(passes);
  });

  it("is free during a prefill, also between its chunks", async () => {
    slow();
    const text = randomTokens(numbers(1), VOCAB, 700);
    await using sequence = await target.createSequence({ capacity: text.length });
    let chunks = 0;
    const ticks = await ticksDuring(() => sequence.prefill(text, { onChunk: () => void chunks++ }));
    expect(chunks).toBe(6);
    expect(ticks).toBeGreaterThan(chunks);
  });
});

describe("a prefill that is aborted", () => {
  it("rejects with the signal's reason, keeps whole chunks and can go on", async () => {
    const text = randomTokens(numbers(2), VOCAB, 900);
    const start = 37;
    slow();
    await using sequence = await target.createSequence({ capacity: 1000 });
    await sequence.prefill(text.slice(0, start));
    const stop = new AbortController();
    const reason = new Error("enough");
    let chunks = 0;
    const prefill = sequence.prefill(text.slice(start), {
      signal: stop.signal,
      // In the middle of the next chunk, or before it when this thread gets no time.
      onChunk: () => {
        if (++chunks === 2) setTimeout(() => stop.abort(reason), 2);
      },
    });
    await expect(prefill).rejects.toBe(reason);
    expect(sequence.length).toBeLessThan(text.length);
    expect((sequence.length - start) % target.maxNodes).toBe(0);
    expect(sequence.length).toBe(start + chunks * target.maxNodes);
    expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);

    selectIsa(engine(), best);
    await sequence.prefill(text.slice(sequence.length));
    await using fresh = await target.createSequence({ capacity: 1000 });
    await fresh.prefill(text);
    const want = everything(target);
    const tree = randomTree(numbers(4), VOCAB, 12);
    const rows = await plainTree(fresh, tree, want);
    const pass = await sequence.forward(tree, want);
    for (const [node, row] of rows.entries()) checkRow(pass, node, want, row, () => "after an abort");
  });

  it("reads nothing when the signal was aborted before, and nothing more when it is aborted at a chunk's end", async () => {
    const text = randomTokens(numbers(3), VOCAB, 300);
    await using sequence = await target.createSequence({ capacity: 300 });
    const reason = { any: "value" };
    await expect(sequence.prefill(text, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(sequence.length).toBe(0);
    const stop = new AbortController();
    const prefill = sequence.prefill(text, { signal: stop.signal, onChunk: () => stop.abort(reason) });
    await expect(prefill).rejects.toBe(reason);
    expect(sequence.length).toBe(target.maxNodes);
    const done = new AbortController();
    await sequence.prefill(text.slice(sequence.length), { signal: done.signal });
    done.abort();
    expect(sequence.length).toBe(text.length);
  });

  it("ends behind the chunk whose listener throws", async () => {
    await using sequence = await target.createSequence({ capacity: 300 });
    const prefill = sequence.prefill(Array(300).fill(1), {
      onChunk: () => {
        throw new Error("no");
      },
    });
    await expect(prefill).rejects.toThrow("no");
    expect(sequence.length).toBe(target.maxNodes);
  });
});

describe("passes at the same time", () => {
  it("wait for each other and have the rows they would have alone", async () => {
    const next = numbers(5);
    const want = everything(target);
    const texts = [3, 40, 129, 1].map((length) => randomTokens(next, VOCAB, length));
    const last = await Promise.all(
      texts.map(async (text) => {
        const sequence = await target.createSequence({ capacity: text.length });
        await sequence.prefill(text.slice(0, -1));
        const pass = await readOne(sequence, text.at(-1)!, want);
        await sequence[Symbol.asyncDispose]();
        return pass;
      }),
    );
    for (const [i, text] of texts.entries()) {
      checkRow(last[i]!, 0, want, (await plainRows(target, text, want)).at(-1)!, () => `text ${i}`);
    }
  });

  it("of two targets run side by side", async () => {
    const shape = { heads: 2, kvHeads: 1, vocabSize: 50 };
    const others = await Promise.all(
      [1, 2, 3].map((threads) => nativeTarget(randomLlama(shape, 9), { threads })),
    );
    const text = randomTokens(numbers(6), 50, 60);
    const want = everything(others[0]!);
    const all = await Promise.all(others.map((other) => plainRows(other, text, want)));
    for (const rows of all) expect(rows.every((row, i) => row.equals(all[0]![i]!))).toBe(true);
    for (const other of others) await other[Symbol.asyncDispose]();
  });

  it("are over before a sequence or a target is freed; later ones are refused", async () => {
    const short = await nativeTarget(randomLlama({ heads: 2, kvHeads: 1, layers: 8 }, 1), { threads: 2 });
    const sequence = await short.createSequence({ capacity: 200 });
    const other = await short.createSequence({ capacity: 200 });
    const freed = /was freed/;
    const running = sequence.prefill(Array(150).fill(1));
    const last = other.forward(new DraftTree(1, 1), { topK: 1 });
    const disposed = sequence[Symbol.asyncDispose]();
    const late = sequence.forward(new DraftTree(1, 1), { topK: 1 });
    await expect(late).rejects.toThrow(freed);
    await expect(running).rejects.toThrow(freed);
    expect((await last).size).toBe(1);
    await disposed;
    await sequence[Symbol.asyncDispose]();
    await expect(sequence.prefill([1])).rejects.toThrow(freed);
    for (const use of [() => sequence.rollback(), () => sequence.commit([0]), () => sequence.truncate(0)]) {
      expect(use).toThrow(freed);
    }

    const pass = other.forward(new DraftTree(1, 1), { topK: 1 });
    // Under way, no longer waiting: what waits is refused.
    await new Promise((resolve) => setImmediate(resolve));
    const gone = short[Symbol.asyncDispose]();
    expect((await pass).size).toBe(1);
    await gone;
    await short[Symbol.asyncDispose]();
    await expect(other.forward(new DraftTree(1, 1), { topK: 1 })).rejects.toThrow(freed);
    await expect(other.prefill([1])).rejects.toThrow(freed);
    await expect(short.createSequence({ capacity: 8 })).rejects.toThrow(freed);
    await other[Symbol.asyncDispose]();
  });
});
