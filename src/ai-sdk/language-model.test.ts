/** @file Tests of the provider through the AI SDK itself, in this process. */

import type { LanguageModelV4 } from "@ai-sdk/provider";
import { generateText, jsonSchema, Output, streamText, type ToolSet } from "ai";
import { describe, expect, test } from "vitest";
import { talkingToy } from "../../test/run-cli.ts";
import { anEnd, endless, Puppet, said, textEvent } from "../../test/server.ts";
import { type EspalierOptions, type Figures, languageModel } from "./language-model.ts";

const MESSAGES = [{ role: "user" as const, content: "ABC" }];
const settings = { messages: MESSAGES, maxOutputTokens: 12, seed: 40, temperature: 1, maxRetries: 0 };
// The types are our own: this line does not compile when they are not the SDK's.
const toy = (): LanguageModelV4 => languageModel(talkingToy());

test("generateText gives text, usage, reason and figures", async () => {
  const { text, end } = await said({ messages: MESSAGES });
  const result = await generateText({ ...settings, model: toy() });
  expect(result.text).toBe(text);
  expect(result.finishReason).toBe("length");
  expect(result.rawFinishReason).toBe("max-tokens");
  expect(result.usage).toMatchObject({
    inputTokens: 4,
    inputTokenDetails: { noCacheTokens: 4, cacheReadTokens: 0 },
    outputTokens: 12,
    totalTokens: 16,
  });
  const { method, passes, mat, byDrafter } = end.stats;
  const figures = result.providerMetadata!.espalier as Figures;
  expect(figures).toMatchObject({ method, passes, mat, off: null, drafters: byDrafter });
  expect(figures.tokensPerSecond).toBeGreaterThan(0);
  expect(result.response.modelId).toBe("toy");
  expect(result.warnings).toEqual([]);
});

test("streamText gives the same in parts", async () => {
  const { text, end } = await said({ messages: MESSAGES });
  const result = streamText({ ...settings, model: toy() });
  const parts: string[] = [];
  for await (const part of result.textStream) parts.push(part);
  expect(parts.join("")).toBe(text);
  expect(parts.length).toBe(end.stats.passes);
  expect(await result.usage).toMatchObject({ inputTokens: 4, outputTokens: 12 });
  expect(await result.finishReason).toBe("length");
  expect((await result.providerMetadata)!.espalier).toMatchObject({
    passes: end.stats.passes,
    mat: end.stats.mat,
  });
});

test("every setting reaches the request, and nothing that was not given", async () => {
  const puppet = new Puppet(async function* () {
    yield anEnd();
  });
  const model = languageModel(puppet);
  const espalier: EspalierOptions = {
    method: "plain",
    budget: 3,
    prediction: "P",
    minP: 0.1,
    repetitionPenalty: 1.2,
  };
  await generateText({
    model,
    system: "S",
    messages: [
      {
        role: "user",
        content: [
          { type: "text", text: "A" },
          { type: "text", text: "B" },
        ],
      },
      { role: "assistant", content: "C" },
      { role: "user", content: "D" },
    ],
    ...{ maxOutputTokens: 3, temperature: 0.5, topP: 0.9, topK: 4, seed: 2, stopSequences: ["X"] },
    ...{ presencePenalty: 0.1, frequencyPenalty: 0.2, reasoning: "none", providerOptions: { espalier } },
  });
  await generateText({ model, prompt: "ABC" });
  const [full, bare] = puppet.requests.map(({ signal, ...request }) => request);
  expect(full).toEqual({
    messages: [
      { role: "system", content: "S" },
      { role: "user", content: "AB" },
      { role: "assistant", content: "C" },
      { role: "user", content: "D" },
    ],
    ...{ maxTokens: 3, temperature: 0.5, topP: 0.9, topK: 4, seed: 2, stop: ["X"] },
    ...{ presencePenalty: 0.1, frequencyPenalty: 0.2, ...espalier },
  });
  expect(bare).toEqual({ messages: MESSAGES });
});

describe("an abort", () => {
  test("of generateText rejects with its reason", async () => {
    const puppet = new Puppet(endless);
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 5);
    const result = generateText({
      ...settings,
      model: languageModel(puppet),
      abortSignal: controller.signal,
    });
    await expect(result).rejects.toMatchObject({ name: "AbortError" });
    expect(puppet.ended).toBe(1);
  });

  test("of streamText ends its stream as aborted", async () => {
    const puppet = new Puppet(endless);
    const controller = new AbortController();
    const { fullStream } = streamText({
      ...settings,
      model: languageModel(puppet),
      abortSignal: controller.signal,
    });
    const types: string[] = [];
    for await (const { type } of fullStream) {
      types.push(type);
      if (type === "text-delta") controller.abort();
    }
    expect(types.at(-1)).toBe("abort");
    while (puppet.ended === 0) await new Promise((resolve) => setTimeout(resolve, 1));
  });

  test("by leaving the stream ends the generation", async () => {
    const puppet = new Puppet(endless);
    const { stream } = await languageModel(puppet).doStream({ prompt: [{ role: "user", content: "A" }] });
    const reader = stream.getReader();
    await reader.read();
    await reader.cancel();
    expect(puppet.ended).toBe(1);
  });
});

describe("what is refused", () => {
  const model = languageModel(talkingToy());
  const code = "unsupported";

  test("tools, JSON, images", async () => {
    const schema = jsonSchema<object>({ type: "object" });
    const tools = { look: { description: "looks", inputSchema: schema } } as unknown as ToolSet;
    const output = Output.object({ schema });
    await expect(generateText({ ...settings, model, tools })).rejects.toMatchObject({ code });
    await expect(generateText({ ...settings, model, output })).rejects.toMatchObject({ code });
    const image = { type: "file" as const, mediaType: "image/png", data: new Uint8Array([1]) };
    const messages = [{ role: "user" as const, content: [image] }];
    await expect(generateText({ ...settings, model, messages })).rejects.toMatchObject({ code });
    await expect(generateText({ ...settings, model, reasoning: "high" })).rejects.toMatchObject({ code });
  });

  test("wrong values and unknown options, by streams before they begin", async () => {
    const prompt = [{ role: "user" as const, content: [{ type: "text", text: "ABC" }] }];
    await expect(model.doStream({ prompt, temperature: -1 })).rejects.toThrow(RangeError);
    await expect(model.doStream({ prompt, providerOptions: { espalier: { magic: 1 } } })).rejects.toThrow(
      "espalier has magic; it may have method, budget",
    );
    await expect(model.doGenerate({ prompt, seed: 0.5 })).rejects.toThrow("seed is 0.5");
    const other = { prompt, maxOutputTokens: 1, providerOptions: { openai: { magic: 1 } } };
    expect((await model.doGenerate(other)).usage.outputTokens.total).toBe(1);
  });
});

test("a failure in the middle of a stream is the stream's error", async () => {
  const puppet = new Puppet(async function* () {
    yield textEvent("A");
    throw new Error("internal: broken");
  });
  const { stream } = await languageModel(puppet).doStream({ prompt: [{ role: "user", content: "A" }] });
  const reader = stream.getReader();
  const read = async () => {
    for (;;) if ((await reader.read()).done) return;
  };
  await expect(read()).rejects.toThrow("internal: broken");
});

test("raw parts are the events", async () => {
  const prompt = [{ role: "user" as const, content: "ABC" }];
  const { stream } = await languageModel(talkingToy()).doStream({
    prompt,
    maxOutputTokens: 3,
    includeRawChunks: true,
  });
  const types: string[] = [];
  for await (const part of stream as unknown as AsyncIterable<{ type: string }>) types.push(part.type);
  expect(types.slice(0, 5)).toEqual(["stream-start", "response-metadata", "text-start", "raw", "text-delta"]);
  expect(types.slice(-3)).toEqual(["raw", "text-end", "finish"]);
});
