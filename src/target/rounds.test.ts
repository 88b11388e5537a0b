/** @file Whose turn it is, on a machine whose time is simulated: how long texts stand still while prompts are read. */

import { setImmediate } from "node:timers/promises";
import { afterEach, describe, expect, it, vi } from "vitest";
import { DraftTree } from "../tree/draft-tree.ts";
import { type SharedSequence, SharedTarget } from "./shared-target.ts";
import { ToyTarget } from "./toy.ts";

afterEach(() => {
  vi.useRealTimers();
});

/** Milliseconds of a pass over so many rows, and of a chunk of a prompt. */
const passMs = (rows: number) => 4 + rows / 4;
const chunkMs = (tokens: number) => 1 + tokens / 3;

/** A shared toy on that machine, and what it does: rows of a pass, or tokens of a chunk with a "+"; texts add "heard". */
function simulated() {
  vi.useFakeTimers({ toFake: ["performance"] });
  const log: string[] = [];
  const take = (entry: string, ms: number) => {
    log.push(entry);
    vi.advanceTimersByTime(ms);
  };
  const toy = new ToyTarget({ chunk: 128, contextLength: 2000 });
  const [create, forwardAll] = [toy.createSequence.bind(toy), toy.forwardAll.bind(toy)];
  let together = false;
  toy.createSequence = async (options) => {
    const sequence = await create(options);
    const { prefill, forward } = sequence;
    sequence.prefill = async (tokens, options) => {
      take(`+${tokens.length}`, chunkMs(tokens.length));
      await prefill.call(sequence, tokens, options);
    };
    sequence.forward = async (tree, want, first = 0) => {
      if (!together) take(`${tree.size - first}`, passMs(tree.size - first));
      return forward.call(sequence, tree, want, first);
    };
    return sequence;
  };
  toy.forwardAll = async (batch, want) => {
    const rows = batch.reduce((sum, { tree, first = 0 }) => sum + tree.size - first, 0);
    take(`${rows}`, passMs(rows));
    together = true;
    const passes = forwardAll(batch, want);
    together = false;
    return passes;
  };
  return { target: new SharedTarget(toy), log };
}

/** Decodes until `over`, with a reader that takes a turn of the event loop: how long it waited for each token. */
async function decode(
  sequence: SharedSequence,
  log: string[],
  over: () => boolean,
  ahead = false,
): Promise<number[]> {
  const waits: number[] = [];
  for (let before = performance.now(); !over(); before = performance.now()) {
    sequence.announce();
    const tree = new DraftTree(1 + (waits.length % 40), 1);
    if (ahead) await sequence.forwardFirst(tree, 1);
    await sequence.forward(tree, { topK: 1 });
    sequence.commit([0]);
    waits.push(performance.now() - before);
    log.push("heard");
    await setImmediate();
  }
  // The clock stands still for who waits for it.
  sequence.rollback();
  return waits;
}

const prompt = (length: number) => Array.from({ length }, (_, i) => i % 48);
const tokensOf = (log: readonly string[]) => log.filter((entry) => entry.startsWith("+")).map(Number);

describe("Rounds", () => {
  it("reads no more of prompts between two passes than leaves everybody's wait below four passes", async () => {
    const { target, log } = simulated();
    const create = () => target.createSequence({ capacity: 1500 });
    const [one, two, three] = [await create(), await create(), await create()];
    let over = false;
    const texts = [one, two, three].map((sequence) => decode(sequence, log, () => over));
    for (let i = 0; i < 20; i++) await setImmediate();
    const start = log.length;
    const [long, short] = [await create(), await create()];
    const read = async (sequence: SharedSequence, length: number) => {
      await sequence.prefill(prompt(length));
      sequence.rollback();
    };
    await Promise.all([read(long, 400), read(short, 30)]);
    const reading = log.slice(start);
    over = true;
    for (const waits of await Promise.all(texts)) {
      expect(Math.max(...waits)).toBeGreaterThan(passMs(3));
      expect(Math.max(...waits)).toBeLessThanOrEqual(4 * passMs(3));
    }
    const chunks = tokensOf(reading);
    expect(chunks.reduce((a, b) => a + b)).toBe(430);
    for (const tokens of chunks) expect(chunkMs(tokens)).toBeLessThanOrEqual(2.5 * passMs(3));
    // One chunk, one pass of all, and no chunk before all have heard of it.
    const between = reading.slice(
      reading.indexOf("+4"),
      reading.findLastIndex((entry) => entry[0] === "+"),
    );
    expect(between.join(" ")).toMatch(/^(\+\d+ 3 heard heard heard ?)+$/);
    // What is known of the machine is made use of.
    expect(Math.max(...chunks)).toBeGreaterThan(16);
  });

  it("reads as much as a pass takes when nobody waits", async () => {
    const { target, log } = simulated();
    const sequence = await target.createSequence({ capacity: 1500 });
    await sequence.prefill(prompt(300));
    expect(tokensOf(log)).toEqual([128, 128, 44]);
  });

  it("minds a text whose first layers run ahead, which then has company", async () => {
    const { target, log } = simulated();
    const [text, other] = [
      await target.createSequence({ capacity: 1500 }),
      await target.createSequence({ capacity: 1500 }),
    ];
    let over = false;
    const plain = decode(text, log, () => log.length > 5);
    await plain;
    expect(text.crowded).toBe(false);
    const ahead = decode(text, log, () => over, true);
    await setImmediate();
    const reading = other.prefill(prompt(300));
    expect(text.crowded).toBe(true);
    await reading;
    over = true;
    await ahead;
    for (const tokens of tokensOf(log)) expect(chunkMs(tokens)).toBeLessThanOrEqual(2.5 * passMs(1));
    expect(text.crowded).toBe(true);
    other.rollback();
    expect(text.crowded).toBe(false);
  });
});
