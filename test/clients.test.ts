/** @file Published clients against the server, over a port: OpenAI's own for JavaScript, and Vercel's AI SDK. */

import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { APICallError, generateText, streamText } from "ai";
import OpenAI from "openai";
import { afterEach, describe, expect, test } from "vitest";
import { EspalierError } from "../src/errors.ts";
import type { AppOptions } from "../src/server/app.ts";
import type { Generator } from "../src/server/generator.ts";
import { type Listening, listen } from "../src/server/listen.ts";
import { talkingToy } from "./run-cli.ts";
import { endless, Puppet, said, serving } from "./server.ts";

const MESSAGES = [{ role: "user" as const, content: "ABC" }];
const KEY = "a key";

let servers: Listening[] = [];
afterEach(async () => {
  await Promise.all(servers.map((server) => server.close()));
  servers = [];
});

async function served(
  generator: Generator = talkingToy(),
  options: Partial<AppOptions> = {},
): Promise<string> {
  const server = await listen(serving(generator, { apiKey: KEY, ...options }).app, {
    host: "127.0.0.1",
    port: 0,
  });
  servers.push(server);
  return `${server.url}/v1`;
}

async function ended(puppet: Puppet): Promise<void> {
  while (puppet.ended === 0) await new Promise((resolve) => setTimeout(resolve, 1));
}

describe("OpenAI's client", () => {
  const connect = (baseURL: string, apiKey = KEY) => new OpenAI({ baseURL, apiKey, maxRetries: 0 });
  const request = { model: "toy", messages: MESSAGES, max_tokens: 12, seed: 40 };

  test("chats", async () => {
    const client = connect(await served());
    const { text } = await said({ messages: MESSAGES });
    const reply = await client.chat.completions.create({ ...request, logprobs: true, top_logprobs: 1 });
    expect(reply.choices[0]!.message.content).toBe(text);
    expect(reply.choices[0]!.finish_reason).toBe("length");
    expect(reply.choices[0]!.logprobs!.content!.map(({ token }) => token).join("")).toBe(text);
    expect(reply.usage).toMatchObject({ prompt_tokens: 4, completion_tokens: 12 });
    // A conversation goes on with the message that came back.
    const messages = [...MESSAGES, reply.choices[0]!.message, MESSAGES[0]!];
    const next = await client.chat.completions.create({ ...request, messages });
    expect(next.usage!.prompt_tokens).toBeGreaterThan(12);
  });

  test("streams", async () => {
    const client = connect(await served());
    const { text } = await said({ messages: MESSAGES });
    const stream = await client.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    });
    let streamed = "";
    let usage: OpenAI.CompletionUsage | null | undefined;
    for await (const chunk of stream) {
      streamed += chunk.choices[0]?.delta.content ?? "";
      usage = chunk.usage;
    }
    expect(streamed).toBe(text);
    expect(usage?.completion_tokens).toBe(12);
    // The client puts chunks together by rules of its own.
    const runner = client.chat.completions.stream(request);
    expect((await runner.finalChatCompletion()).choices[0]!.message.content).toBe(text);
  });

  test("continues prompts, predicts, and lists models", async () => {
    const client = connect(await served());
    const { text } = await said({ prompt: "ABC" });
    const completion = await client.completions.create({
      model: "toy",
      prompt: "ABC",
      max_tokens: 12,
      seed: 40,
    });
    expect(completion.choices[0]!.text).toBe(text);
    const answer = (await said({ messages: MESSAGES })).text;
    const predicted = await client.chat.completions.create({
      ...request,
      prediction: { type: "content", content: answer },
    });
    expect(predicted.choices[0]!.message.content).toBe(answer);
    expect(predicted.usage!.completion_tokens_details!.accepted_prediction_tokens).toBeGreaterThan(0);
    const names: string[] = [];
    for await (const { id } of client.models.list()) names.push(id);
    expect(names).toEqual(["toy"]);
    expect((await client.models.retrieve("toy")).owned_by).toBe("espalier");
  });

  test("aborts, by its stream and by a signal", async () => {
    const puppet = new Puppet(endless);
    const client = connect(await served(puppet));
    const stream = await client.chat.completions.create({ ...request, stream: true });
    for await (const chunk of stream) if (chunk.choices[0]!.delta.content) break;
    await ended(puppet);
    puppet.ended = 0;
    const controller = new AbortController();
    const reply = client.chat.completions.create(request, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    await expect(reply).rejects.toThrow(OpenAI.APIUserAbortError);
    await ended(puppet);
  });

  test("knows the errors", async () => {
    const url = await served();
    const client = connect(url);
    const ask = (change: object, on = client) => on.chat.completions.create({ ...request, ...change });
    await expect(ask({ model: "gpt" })).rejects.toThrow(OpenAI.NotFoundError);
    await expect(ask({ tools: [] })).rejects.toMatchObject({
      status: 400,
      param: "tools",
      code: "unsupported_parameter",
    });
    await expect(ask({ temperature: 9 })).rejects.toThrow(OpenAI.BadRequestError);
    await expect(ask({}, connect(url, "another"))).rejects.toThrow(OpenAI.AuthenticationError);
    const full = new Puppet(async function* () {
      yield* [];
      throw new EspalierError("overloaded", "64 texts are waiting already");
    });
    const busy = connect(await served(full));
    const error = await ask({}, busy).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect((error as InstanceType<typeof OpenAI.RateLimitError>).headers.get("retry-after")).toBe("7");
    const broken = new Puppet(async function* () {
      yield* [];
      throw new Error("internal");
    });
    await expect(ask({}, connect(await served(broken)))).rejects.toThrow(OpenAI.InternalServerError);
  });
});

describe("the AI SDK", () => {
  const connect = (baseURL: string, apiKey = KEY) =>
    createOpenAICompatible({ name: "espalier", baseURL, apiKey, includeUsage: true });
  const settings = { prompt: "ABC", maxOutputTokens: 12, seed: 40, temperature: 1, maxRetries: 0 };

  test("generates and streams", async () => {
    const model = connect(await served())("toy");
    const { text } = await said({ messages: MESSAGES });
    const result = await generateText({ ...settings, model });
    expect(result.text).toBe(text);
    expect(result.finishReason).toBe("length");
    expect(result.usage).toMatchObject({ inputTokens: 4, outputTokens: 12 });
    const stream = streamText({ ...settings, model });
    let streamed = "";
    for await (const part of stream.textStream) streamed += part;
    expect(streamed).toBe(text);
    expect(await stream.usage).toMatchObject({ inputTokens: 4, outputTokens: 12 });
    expect(await stream.finishReason).toBe("length");
  });

  test("aborts", async () => {
    const puppet = new Puppet(endless);
    const model = connect(await served(puppet))("toy");
    const controller = new AbortController();
    const parts: string[] = [];
    const { fullStream } = streamText({ ...settings, model, abortSignal: controller.signal });
    for await (const part of fullStream) {
      parts.push(part.type);
      if (part.type === "text-delta") controller.abort();
    }
    expect(parts.at(-1)).toBe("abort");
    await ended(puppet);
  });

  test("knows the errors", async () => {
    const url = await served();
    const error = await generateText({ ...settings, model: connect(url)("gpt") }).catch(
      (error: unknown) => error,
    );
    expect(APICallError.isInstance(error)).toBe(true);
    expect(error).toMatchObject({ statusCode: 404, message: expect.stringContaining('give "toy"') });
    const stranger = generateText({ ...settings, model: connect(url, "another")("toy") });
    await expect(stranger).rejects.toMatchObject({ statusCode: 401 });
  });
});
