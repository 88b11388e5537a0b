/** @file A generation that ends anywhere leaves its conversation's cache right, and a model that goes away early breaks nothing. */

import { afterAll, beforeAll, expect, it } from "vitest";
import type { GenerateRequest } from "../src/session/api.ts";
import { Model } from "../src/session/model.ts";
import type { Session } from "../src/session/session.ts";
import { nativeTarget, numbers, randomLlama, randomTokens } from "./native-model.ts";
import { collect, raggedTokenizer } from "./toy-model.ts";

const VOCAB = 47;
const ABORTS = 500;
const next = numbers(21);
const shape = { heads: 2, kvHeads: 1, vocabSize: VOCAB };

/** The draft model is the target without its last layer, so that it is right now and then. */
async function newModel(): Promise<Model> {
  return new Model({
    name: "random",
    target: await nativeTarget(randomLlama(shape, 4), { threads: 2 }),
    draftModel: await nativeTarget(randomLlama({ ...shape, layers: 1 }, 4), { threads: 1 }),
    tokenizer: raggedTokenizer,
    endTokens: [],
  });
}

let model: Model;
beforeAll(async () => {
  model = await newModel();
});
afterAll(() => model[Symbol.asyncDispose]());

/** Waits as long as `turns` turns of the event loop, or of promises alone. */
async function wait(turns: number): Promise<void> {
  const promises = next(2) === 0;
  for (; turns > 0; turns--) {
    await (promises ? Promise.resolve() : new Promise((resolve) => setImmediate(resolve)));
  }
}

/** Begins a generation and ends it somewhere. */
async function interrupt(
  session: Session,
  request: GenerateRequest,
): Promise<"finished" | "aborted" | "left"> {
  const stop = new AbortController();
  const events = session.generate({ ...request, signal: stop.signal });
  const pieces = next(6);
  const way = next(3);
  if (way === 0) wait(next(60)).then(() => stop.abort());
  let seen = 0;
  for await (const event of events) {
    if (event.type === "end") return event.stopReason === "aborted" ? "aborted" : "finished";
    if (seen++ < pieces) continue;
    if (way === 1) stop.abort();
    if (way === 2) return "left";
  }
  throw new Error("the stream had no end");
}

it(`goes on with the text of a fresh cache after ${ABORTS} interruptions`, async () => {
  const methods = model.methodNames;
  const counts = { finished: 0, aborted: 0, left: 0 };
  let session = await model.createSession({ contextLength: 300 });
  let text = randomTokens(next, VOCAB, 5);
  for (let round = 0; round < ABORTS; round++) {
    const seeded = next(3) === 0 ? { temperature: 0.9, seed: round } : {};
    const request = {
      tokens: text,
      maxTokens: 16,
      method: methods[round % methods.length]!,
      budget: 1 + next(16),
      ...seeded,
    };
    counts[await interrupt(session, request)]++;
    const again = { ...request, maxTokens: 6 };
    const { tokens } = await collect(session.generate(again));
    const fresh = await collect(model.generate({ ...again, method: "plain" }));
    expect(tokens, `round ${round}, ${request.method}`).toEqual(fresh.tokens);
    text = [...text, ...tokens, ...randomTokens(next, VOCAB, next(4))];
    if (text.length > 250) {
      await session[Symbol.asyncDispose]();
      session = await model.createSession({ contextLength: 300 });
      text = randomTokens(next, VOCAB, 1 + next(140));
    }
  }
  await session[Symbol.asyncDispose]();
  for (const count of Object.values(counts)) expect(count).toBeGreaterThan(ABORTS / 20);
});

it("a model that is freed during a generation ends it with an error; later requests say so too", async () => {
  for (const turns of [0, 1, 3, 10]) {
    const gone = await newModel();
    const session = await gone.createSession();
    const running = collect(session.generate({ tokens: [1, 2, 3], maxTokens: 200 }));
    const failed = expect(running).rejects.toThrow(/was freed/);
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    await gone[Symbol.asyncDispose]();
    await failed;
    await gone[Symbol.asyncDispose]();
    await expect(collect(gone.generate({ tokens: [1], maxTokens: 2 }))).rejects.toThrow(/was freed/);
    await expect(collect(session.generate({ tokens: [1], maxTokens: 2 }))).rejects.toThrow(/was freed/);
    await expect(gone.createSession()).rejects.toThrow(/was freed/);
    await session[Symbol.asyncDispose]();
    await session[Symbol.asyncDispose]();
  }
});
