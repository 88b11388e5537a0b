/** @file A service: texts as they are alone, whatever is shared; places, the queue, and caches that are held and freed. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { collect, toyModel } from "../../test/toy-model.ts";
import { type ToyOptions, ToyTarget } from "../target/toy.ts";
import type { TokenId } from "../types.ts";
import type { GenerateEvent, GenerateRequest } from "./api.ts";
import { Service, type ServiceOptions } from "./service.ts";

const endless = { endTokens: [] };

/** A toy service, and how many sequences of its target there are. */
function toyService(options: ServiceOptions = {}, toy: ToyOptions = {}) {
  const target = new ToyTarget(toy);
  const create = target.createSequence.bind(target);
  const open = new Set<object>();
  target.createSequence = async (options) => {
    const sequence = await create(options);
    open.add(sequence);
    // A pass takes a turn of the event loop, as an engine's would.
    const forward = sequence.forward.bind(sequence);
    sequence.forward = async (...args) => {
      const pass = await forward(...args);
      await turns(1);
      return pass;
    };
    const dispose = sequence[Symbol.asyncDispose].bind(sequence);
    sequence[Symbol.asyncDispose] = () => {
      open.delete(sequence);
      return dispose();
    };
    return sequence;
  };
  const model = toyModel({}, { target, ...endless });
  return { service: new Service(model, options), model, open };
}

const ask = (service: Service, request: GenerateRequest) => collect(service.generate(request));
const turns = async (count: number) => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};
const text = (length: number, from = 1): TokenId[] => Array.from({ length }, (_, i) => (from + i * 7) % 48);

describe("Service", () => {
  it("refuses options out of their range, by name", () => {
    const { model } = toyService();
    for (const options of [{ running: 0 }, { running: 65 }, { waiting: -1 }, { prefixBytes: 0.5 }]) {
      const [[name, value]] = Object.entries(options) as [[string, number]];
      expect(() => new Service(model, options)).toThrow(new RegExp(`${name} is ${value}; give an integer`));
    }
  });

  it("says what the model is, and what it does", async () => {
    const { service, model } = toyService({ running: 2, waiting: 3 });
    expect([service.name, service.contextLength, service.defaultMethod, service.methodNames]).toEqual([
      model.name,
      model.contextLength,
      model.defaultMethod,
      model.methodNames,
    ]);
    const all = [1, 2, 3, 4].map((token) => ask(service, { tokens: [token], maxTokens: 9 }));
    await turns(2);
    expect(service.load).toEqual({ running: 2, waiting: 2, prefixes: 0, prefixBytes: 0 });
    await Promise.all(all);
    expect(service.load).toMatchObject({ running: 0, waiting: 0 });
  });

  it("serves in turn, and refuses whom no seat is left for", async () => {
    const { service, open } = toyService({ running: 1, waiting: 2 });
    const done: number[] = [];
    const all = [1, 2, 3].map((token) =>
      ask(service, { tokens: [token], maxTokens: 5 }).then(() => done.push(token)),
    );
    await turns(1);
    await expect(ask(service, { tokens: [4] })).rejects.toMatchObject({
      code: "overloaded",
      message: expect.stringContaining("1 texts are being generated and 2 wait; try again in"),
    });
    expect(service.retryAfter).toBeGreaterThanOrEqual(1);
    // What is wrong is told without waiting.
    await expect(ask(service, { tokens: [99] })).rejects.toThrow(RangeError);
    await Promise.all(all);
    expect(done).toEqual([1, 2, 3]);
    expect(open.size).toBe(0);
    expect((await ask(service, { tokens: [4], maxTokens: 1 })).tokens.length).toBe(1);
  });

  it("gives up a place in the queue at once when the request is aborted, and one in the passes", async () => {
    const { service, open } = toyService({ running: 1, waiting: 1 });
    const [running, waiting] = [new AbortController(), new AbortController()];
    const first = ask(service, { tokens: [1], signal: running.signal });
    await turns(2);
    const second = ask(service, { tokens: [2], signal: waiting.signal });
    await turns(1);
    expect(service.load).toMatchObject({ running: 1, waiting: 1 });
    waiting.abort();
    expect(service.load).toMatchObject({ running: 1, waiting: 0 });
    expect((await second).end.stopReason).toBe("aborted");
    const third = ask(service, { tokens: [3], maxTokens: 4 });
    await turns(1);
    expect(service.load).toMatchObject({ running: 1, waiting: 1 });
    running.abort();
    expect((await first).end.stopReason).toBe("aborted");
    expect((await third).end.stopReason).toBe("max-tokens");
    expect(service.load).toMatchObject({ running: 0, waiting: 0 });
    await service[Symbol.asyncDispose]();
    expect(open.size).toBe(0);
  });

  it("has freed all that was a text's when its end is there, and when its reader leaves", async () => {
    const { service, open } = toyService({ prefixBytes: 0 });
    for await (const event of service.generate({ tokens: text(20), maxTokens: 3 })) {
      if (event.type === "end") expect([service.load.running, open.size]).toEqual([0, 0]);
    }
    for await (const event of service.generate({ tokens: text(20) })) {
      expect(event.type).toBe("text");
      expect([service.load.running, open.size]).toEqual([1, 1]);
      break;
    }
    expect([service.load.running, open.size]).toEqual([0, 0]);
  });

  it("reads a turn's new tokens alone, and a conversation takes the place of its beginning", async () => {
    const { service, open } = toyService();
    const first = await ask(service, { tokens: text(40), maxTokens: 10, seed: 1, temperature: 1 });
    expect(first.end.stats.cachedTokens).toBe(0);
    const said = [...text(40), ...first.tokens];
    const second = await ask(service, { tokens: [...said, 5, 6, 7], maxTokens: 4 });
    expect(second.end.stats.cachedTokens).toBe(49);
    expect([service.load.prefixes, open.size]).toEqual([1, 1]);
    // Another one that begins like it.
    const other = await ask(service, { tokens: [...text(40), 9], maxTokens: 4 });
    expect(other.end.stats.cachedTokens).toBe(40);
    expect(service.load.prefixes).toBe(2);
    // The same again: all but the last token, which is the first root.
    expect((await ask(service, { tokens: text(40), maxTokens: 3 })).end.stats.cachedTokens).toBe(39);
    // Beginnings that are not worth it are read.
    expect((await ask(service, { tokens: [...text(9), 3, 3], maxTokens: 3 })).end.stats.cachedTokens).toBe(0);
    await service[Symbol.asyncDispose]();
    expect(open.size).toBe(0);
    await ask(service, { tokens: text(40), maxTokens: 3 });
    expect(open.size).toBe(0);
  });

  it("copies from texts that still run", async () => {
    const { service } = toyService();
    const stop = new AbortController();
    const running = ask(service, { tokens: text(60), signal: stop.signal });
    await turns(20);
    const other = await ask(service, { tokens: [...text(50), 3, 3], maxTokens: 5 });
    expect(other.end.stats.cachedTokens).toBe(50);
    stop.abort();
    await running;
  });

  it("holds no more than it may, and frees what was not used for the longest", async () => {
    // 64 bytes a token: two texts of 29 tokens fit, and no third.
    const { service, open } = toyService({ prefixBytes: 64 * 70 });
    const cached = async (from: number) =>
      (await ask(service, { tokens: text(24, from), maxTokens: 6 })).end.stats.cachedTokens;
    expect([await cached(1), await cached(2), await cached(1), await cached(3)]).toEqual([0, 0, 23, 0]);
    expect(service.load.prefixBytes).toBeLessThanOrEqual(64 * 70);
    expect([service.load.prefixes, open.size]).toEqual([2, 2]);
    // The first was used later than the second.
    expect([await cached(1), await cached(2)]).toEqual([23, 0]);
    const large = await ask(service, { tokens: text(100), maxTokens: 2 });
    expect(large.tokens.length).toBe(2);
    expect(open.size).toBe(service.load.prefixes);
  });

  it("gives each of many users the text that is theirs alone, whatever they share", async () => {
    const user = fc.record({
      // Beginnings that many have in common.
      parts: fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 4 }),
      method: fc.nat(),
      sampling: fc.constantFrom({}, { temperature: 1, seed: 3 }, { temperature: 0.7, topK: 5, seed: 4 }),
      maxTokens: fc.integer({ min: 1, max: 30 }),
      comes: fc.integer({ min: 0, max: 30 }),
      leave: fc.constantFrom("no", "no", "no", "abort", "break"),
      after: fc.integer({ min: 0, max: 5 }),
      goesOn: fc.boolean(),
    });
    const options = fc.record({
      running: fc.integer({ min: 1, max: 6 }),
      waiting: fc.constant(20),
      prefixBytes: fc.constantFrom(0, 64 * 100, 2 ** 20),
    });
    await fc.assert(
      fc.asyncProperty(options, fc.array(user, { minLength: 2, maxLength: 10 }), async (options, users) => {
        const { service, model, open } = toyService(options, { order: 2, longRange: 0.5 });
        const alone = toyModel({ order: 2, longRange: 0.5 }, endless);
        const check = async (request: GenerateRequest, leave: string, after: number) => {
          const plain = await collect(alone.generate({ ...request, method: "plain" }));
          const abort = new AbortController();
          if (leave === "abort" && after === 0) abort.abort();
          let events = 0;
          let last: GenerateEvent | undefined;
          const said: TokenId[] = [];
          for await (const event of service.generate({ ...request, signal: abort.signal })) {
            last = event;
            if (event.type === "end") break;
            said.push(...event.pieces.map(({ token }) => token));
            if (++events < after) continue;
            if (leave === "abort") abort.abort();
            if (leave === "break") break;
          }
          if (last?.type === "end") {
            expect(last.tokens).toEqual(plain.tokens.slice(0, last.tokens.length));
            if (leave === "no") expect(last.tokens).toEqual(plain.tokens);
            return last.tokens;
          }
          expect(said).toEqual(plain.tokens.slice(0, said.length));
          return said;
        };
        await Promise.all(
          users.map(async ({ parts, method, sampling, maxTokens, comes, leave, after, goesOn }) => {
            await turns(comes);
            const tokens = parts.flatMap((part) => text(20, part));
            const name = model.methodNames[method % model.methodNames.length]!;
            const request = { method: name, maxTokens, ...sampling };
            const said = await check({ ...request, tokens }, leave, after);
            if (goesOn) await check({ ...request, tokens: [...tokens, ...said, 1, 2] }, "no", 0);
          }),
        );
        expect(service.load).toMatchObject({ running: 0, waiting: 0 });
        expect(open.size).toBe(service.load.prefixes);
        expect(service.load.prefixBytes).toBeLessThanOrEqual(options.prefixBytes);
        await service[Symbol.asyncDispose]();
        expect(open.size).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
