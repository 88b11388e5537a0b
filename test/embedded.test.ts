/** @file The model that comes with the package: what its card promises of the files, and the lossless claim with every method. */

import { stat } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { embeddedDraftModel, embeddedModel } from "../src/checkpoint/embedded.ts";
import { findModel } from "../src/checkpoint/find-model.ts";
import { readInfo } from "../src/cli/info.ts";
import { loadModel } from "../src/engine/load.ts";
import type { GenerateRequest } from "../src/session/api.ts";
import type { Model } from "../src/session/model.ts";
import { collect } from "./toy-model.ts";

const STORY = "Tell me a short story about Mila the fox and a lantern.";
const RUNS: readonly GenerateRequest[] = [
  { messages: [{ role: "user", content: STORY }] },
  {
    messages: [{ role: "user", content: "A story about a brave snail named Otto and a red kite, please." }],
    temperature: 0.8,
    seed: 7,
  },
  { prompt: "The capital of Norway", temperature: 1, topP: 0.9, repetitionPenalty: 1.1, seed: 1 },
  { prompt: "Once upon a time", repetitionPenalty: 1.1, frequencyPenalty: 0.3 },
  {
    messages: [{ role: "user", content: STORY }],
    ...{ temperature: 0.8, topK: 40, topP: 0.9, repetitionPenalty: 1.2, presencePenalty: -0.2, seed: 9 },
  },
];

let model: Model;
beforeAll(async () => {
  model = await loadModel();
});
afterAll(() => model[Symbol.asyncDispose]());

describe("the files", () => {
  it("are small, and of one vocabulary", async () => {
    const [tiny, draft] = await Promise.all(
      [embeddedModel, embeddedDraftModel].map(async (name) => readInfo(await findModel(name))),
    );
    expect((await stat(tiny!.path)).size).toBeLessThanOrEqual(18e6);
    expect(tiny).toMatchObject({ name: embeddedModel, architecture: "llama", chatTemplate: true });
    expect(tiny!.contextLength).toBeGreaterThanOrEqual(1024);
    expect(Object.keys(tiny!.weights)).toEqual(["Q4_0", "Q8_0", "F32"]);
    expect(draft!.vocabSize).toBe(tiny!.vocabSize);
    expect(draft!.parameters).toBeLessThan(3e6);
  });
});

describe("loadModel()", () => {
  it("gives it, with its draft model", () => {
    expect(model.name).toBe(embeddedModel);
    expect(model.methodNames).toContain("draft-model");
  });

  it("tells a story about what it was asked for, to the end", async () => {
    const { text, end } = await collect(
      model.generate({ messages: [{ role: "user", content: STORY }], maxTokens: 500 }),
    );
    expect(end.stopReason).toBe("end-token");
    expect(text).toMatch(/Mila/);
    expect(text).toMatch(/lantern/);
  });
});

describe("what drafts for it", () => {
  const text = async (model: Model, method: string) => {
    const { end } = await collect(model.generate({ messages: RUNS[0]!.messages!, maxTokens: 60, method }));
    return end.tokens;
  };

  it("is read when a text first drafts with it, in the middle of others", async () => {
    await using model = await loadModel();
    const { target, head, exit, lengths } = model.parts;
    const plain = await text(model, "plain");
    const before = target.memory?.used;
    expect(await text(model, "plain")).toEqual(plain);
    expect(target.memory?.used).toBe(before);
    expect(() => head!.createSequence({ capacity: 1 })).toThrow("not loaded");
    expect(() => exit!.createSequence({ capacity: 1 })).toThrow("not loaded");
    const states = new Float32Array(target.hiddenSize);
    expect(() => lengths!.predict(states, states)).toThrow("not loaded");
    const methods = ["plain", "eagle", "plain", "eesd", "adaeagle", "eesd", "eagle", "plain"];
    const texts = await Promise.all(methods.map((method) => text(model, method)));
    for (const tokens of texts) expect(tokens).toEqual(plain);
    lengths!.predict(states, states);
    if (before !== undefined) expect(target.memory!.used).toBeGreaterThan(before + 4e6);
  });

  it("is gone with it, read or not", async () => {
    const model = await loadModel();
    const { head, exit } = model.parts;
    await text(model, "eagle");
    await model[Symbol.asyncDispose]();
    for (const part of [head!, exit!]) {
      expect(() => part.createSequence({ capacity: 1 })).toThrow("freed");
      await expect(part.load!()).rejects.toThrow("freed");
    }
  });
});

describe("lossless", () => {
  it.each(RUNS)("every method, %j", async (run) => {
    const request = { ...run, maxTokens: 96 };
    const plain = await collect(model.generate({ ...request, method: "plain" }));
    expect(plain.tokens.length).toBeGreaterThan(40);
    for (const method of model.methodNames) {
      const drafted = await collect(model.generate({ ...request, method }));
      expect(drafted.tokens, method).toEqual(plain.tokens);
      expect(drafted.text, method).toBe(plain.text);
    }
  });
});
