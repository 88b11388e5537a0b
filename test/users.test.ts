/** @file Eight users of the embedded model at once get the ids that each of them gets alone. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { loadModel } from "../src/engine/load.ts";
import type { GenerateRequest } from "../src/session/api.ts";
import type { Model } from "../src/session/model.ts";
import { Service } from "../src/session/service.ts";
import type { TokenId } from "../src/types.ts";
import { collect, type Result } from "./toy-model.ts";

const few = process.env.ESPALIER_TESTS === "few";
const START =
  "Once upon a time there was a little dog who lived in a house by the sea with a girl named Mia. ";
const PROMPTS = [
  "Once upon a time",
  `${START}One day`,
  `${START}The dog`,
  `${START}One day the`,
  "Tom and Lily",
];
const USERS: readonly GenerateRequest[] = Array.from({ length: 8 }, (_, user) => ({
  prompt: PROMPTS[user % PROMPTS.length]!,
  maxTokens: few ? 12 : 30 + 10 * (user % 4),
  ...(user % 2 === 1 && { temperature: 0.9, seed: user }),
  ...(user === 7 && { repetitionPenalty: 1.2 }),
}));

describe("eight users at once", () => {
  let model: Model;
  const alone: Result[] = [];

  beforeAll(async () => {
    model = await loadModel();
    for (const request of USERS) alone.push(await collect(model.generate({ ...request, method: "plain" })));
  });
  afterAll(() => model[Symbol.asyncDispose]());

  const ids = (results: readonly { tokens: readonly TokenId[] }[]) => results.map(({ tokens }) => tokens);

  it.each(["plain", "auto", "draft-model", "recycle-lookup", "opt-tree"])("with %s", async (method) => {
    const together = USERS.map((request) => collect(model.generate({ ...request, method })));
    expect(ids(await Promise.all(together))).toEqual(ids(alone));
  });

  it("each with a method of its own", async () => {
    const methods = model.methodNames;
    const together = USERS.map((request, user) =>
      collect(model.generate({ ...request, method: methods[user % methods.length]! })),
    );
    expect(ids(await Promise.all(together))).toEqual(ids(alone));
  });

  it("of a service that copies what prompts have in common, while others are aborted or leave", async () => {
    await using service = new Service(model, { running: 5, waiting: 20 });
    const cached: number[] = [];
    for (let round = 0; round < 3; round++) {
      const others = [0, 1, 2, 3].map(async (other) => {
        const stop = new AbortController();
        let events = 0;
        for await (const event of service.generate({
          prompt: `${START}Other ${other}`,
          signal: stop.signal,
        })) {
          if (event.type === "end" || (++events > 2 + other && other % 2 === 0)) break;
          if (events > 2 + other) stop.abort();
        }
      });
      const together = await Promise.all(USERS.map((request) => collect(service.generate(request))));
      expect(ids(together)).toEqual(ids(alone));
      cached.push(...together.map(({ end }) => end.stats.cachedTokens));
      await Promise.all(others);
    }
    expect(Math.max(...cached)).toBeGreaterThan(16);
    expect(service.load).toMatchObject({ running: 0, waiting: 0 });
    const { prefixes, prefixBytes, engineBytes = Number.POSITIVE_INFINITY } = service.load;
    expect(prefixes).toBeGreaterThan(0);
    expect(engineBytes).toBeGreaterThan(prefixBytes);
  });
});
