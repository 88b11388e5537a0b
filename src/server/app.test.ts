/** @file Tests of the server without a port: replies, streams, refusals, and what happens when somebody leaves. */

import { setTimeout as sleep } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { talkingToy } from "../../test/run-cli.ts";
import {
  anEnd,
  CHAT,
  chunksOf,
  endless,
  PROMPT,
  Puppet,
  read,
  said,
  serving,
  textEvent,
} from "../../test/server.ts";
import { toyModel } from "../../test/toy-model.ts";
import { EspalierError } from "../errors.ts";
import type { GenerateRequest } from "../session/api.ts";
import {
  chatChunkSchema,
  chatReplySchema,
  completionChunkSchema,
  completionReplySchema,
  errorSchema,
} from "./reply-schema.ts";

const USER = { role: "user", content: "ABC" } as const;

describe("a chat completion", () => {
  test("is what the model says, with usage and figures", async () => {
    const { status, body } = await read(serving().chat());
    const { text, end } = await said({ messages: [USER] });
    expect(status).toBe(200);
    expect(chatReplySchema.parse(body)).toEqual(body);
    expect(body).toMatchObject({
      id: expect.stringMatching(/^chatcmpl-[\w-]{36}$/),
      object: "chat.completion",
      model: "toy",
      system_fingerprint: "espalier-1.2.3",
      choices: [{ message: { role: "assistant", content: text }, finish_reason: "length", logprobs: null }],
      usage: { prompt_tokens: 4, completion_tokens: 12, total_tokens: 16 },
      x_espalier: {
        method: "auto",
        passes: end.stats.passes,
        mat: end.stats.mat,
        off: null,
        seed: 40,
      },
    });
    expect(body.x_espalier.drafters).toEqual(end.stats.byDrafter);
    expect(Math.abs(body.created - Date.now() / 1000)).toBeLessThan(60);
  });

  test("streams the same text, role first, figures last", async () => {
    const response = await serving().chat({ stream: true });
    expect(response.headers.get("content-type")).toBe("text/event-stream");
    const chunks = await chunksOf(response);
    for (const chunk of chunks) expect(chatChunkSchema.parse(chunk)).toEqual(chunk);
    const { text, end } = await said({ messages: [USER] });
    expect(chunks[0].choices[0].delta).toEqual({ role: "assistant", content: "" });
    expect(chunks.map(({ choices }) => choices[0].delta.content ?? "").join("")).toBe(text);
    expect(chunks.map(({ choices }) => choices[0].finish_reason)).toEqual([
      ...Array(chunks.length - 1).fill(null),
      "length",
    ]);
    expect(chunks.at(-1).x_espalier).toMatchObject({ passes: end.stats.passes, seed: 40 });
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(chunks.every((chunk) => !("usage" in chunk))).toBe(true);
  });

  test("streams usage when asked", async () => {
    const chunks = await chunksOf(serving().chat({ stream: true, stream_options: { include_usage: true } }));
    for (const chunk of chunks) expect(chatChunkSchema.parse(chunk)).toEqual(chunk);
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true);
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens: 12, total_tokens: 16 } });
  });

  test("ends by the end token and by stop strings with reason stop", async () => {
    const { text } = await said({ messages: [USER], maxTokens: 40 });
    const stop = text.slice(5, 7);
    const { body } = await read(serving().chat({ max_tokens: 40, stop }));
    expect(body.choices[0]).toMatchObject({
      message: { content: text.slice(0, text.indexOf(stop)) },
      finish_reason: "stop",
    });
    const open = await read(serving().chat({ max_tokens: null, max_completion_tokens: null, tools: null }));
    const free = await said({ messages: [USER], maxTokens: 508 });
    expect(free.end.stopReason).toBe("end-token");
    expect(open.body.choices[0]).toMatchObject({ message: { content: free.text }, finish_reason: "stop" });
  });

  test("tells how likely its tokens were, whole and streamed", async () => {
    const { body } = await read(serving().chat({ logprobs: true, top_logprobs: 2 }));
    const { pieces } = await said({ messages: [USER], logProbs: 2 });
    expect(chatReplySchema.parse(body)).toEqual(body);
    const { content } = body.choices[0].logprobs;
    expect(content).toHaveLength(12);
    for (const [i, { logProbs, text }] of pieces.entries()) {
      expect(content[i]).toMatchObject({ token: text, logprob: logProbs!.logProb });
      expect(content[i].bytes).toEqual([...Buffer.from(text)]);
      expect(content[i].top_logprobs.map(({ logprob }: { logprob: number }) => logprob)).toEqual(
        logProbs!.top.map(({ logProb }) => logProb),
      );
    }
    const chunks = await chunksOf(serving().chat({ logprobs: true, top_logprobs: 2, stream: true }));
    expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.content ?? [])).toEqual(content);
    const bare = await read(serving().chat({ logprobs: true }));
    expect(bare.body.choices[0].logprobs.content[3]).toMatchObject({ top_logprobs: [] });
  });

  test("takes a prediction, which changes nothing but the passes", async () => {
    const model = () => talkingToy({}, undefined, { endTokens: [] });
    const { text, end } = await said({ messages: [USER], maxTokens: 60, method: "plain" }, model());
    const prediction = { type: "content", content: text };
    const own = { max_tokens: 60, x_espalier: { method: "plain" } };
    const { body } = await read(serving(model()).chat({ ...own, prediction }));
    expect(body.choices[0].message.content).toBe(text);
    const { accepted_prediction_tokens: accepted, rejected_prediction_tokens: rejected } =
      body.usage.completion_tokens_details;
    expect(body.x_espalier.passes + accepted).toBe(60);
    expect(body.x_espalier.passes).toBeLessThan(end.stats.passes / 2);
    const { drafted } = body.x_espalier.drafters.prediction;
    expect(rejected).toBe(drafted - accepted);
    const parts = [
      { type: "text", text: text.slice(0, 30) },
      { type: "text", text: text.slice(30) },
    ];
    const inParts = await read(
      serving(model()).chat({ ...own, prediction: { ...prediction, content: parts } }),
    );
    expect(inParts.body.usage).toEqual(body.usage);
    const none = await read(serving(model()).chat(own));
    expect(none.body.usage.completion_tokens_details).toEqual({
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    });
  });

  test("hands on every setting, and nothing that was not given", async () => {
    const puppet = new Puppet(async function* () {
      yield anEnd();
    });
    const { chat, continueText } = serving(puppet);
    await chat({
      messages: [
        { role: "developer", content: "D" },
        {
          role: "user",
          content: [
            { type: "text", text: "A" },
            { type: "text", text: "B" },
          ],
        },
        { role: "assistant", content: "C", refusal: null },
      ],
      ...{ temperature: 0.3, top_p: 0.9, top_k: 7, min_p: 0.1, repetition_penalty: 1.1 },
      ...{ frequency_penalty: -1, presence_penalty: 2, seed: 5, stop: ["X", "Y"], max_completion_tokens: 12 },
      ...{ logprobs: true, top_logprobs: 4, prediction: { type: "content", content: "P" } },
      ...{ n: 1, user: "u", store: false, service_tier: "auto", metadata: { a: "b" }, modalities: ["text"] },
      ...{ response_format: { type: "text" }, safety_identifier: "s", prompt_cache_key: "k" },
      x_espalier: { method: "plain" },
    });
    await chat({
      seed: undefined,
      max_tokens: null,
      temperature: null,
      stop: null,
      logprobs: false,
      stream: false,
    });
    await continueText({ best_of: 1, echo: false, suffix: null, logprobs: 3 });
    const [full, bare, text] = puppet.requests.map(({ signal, ...request }) => request);
    expect(full).toEqual({
      messages: [
        { role: "system", content: "D" },
        { role: "user", content: "AB" },
        { role: "assistant", content: "C" },
      ],
      ...{ temperature: 0.3, topP: 0.9, topK: 7, minP: 0.1, repetitionPenalty: 1.1 },
      ...{ frequencyPenalty: -1, presencePenalty: 2, seed: 5, stop: ["X", "Y"], maxTokens: 12 },
      ...{ logProbs: 4, prediction: "P", method: "plain" },
    });
    expect(bare).toEqual({ messages: [USER], temperature: 1, seed: expect.any(Number) });
    expect(text).toEqual({ prompt: "ABC", temperature: 1, seed: 40, maxTokens: 12, logProbs: 3 });
  });

  test("draws a seed where none is given, and names it", async () => {
    const { chat } = serving();
    const first = await read(chat({ seed: undefined }));
    const second = await read(chat({ seed: undefined }));
    const again = await read(chat({ seed: first.body.x_espalier.seed }));
    expect(second.body.x_espalier.seed).not.toBe(first.body.x_espalier.seed);
    expect(again.body.choices).toEqual(first.body.choices);
  });
});

describe("a completion", () => {
  test("continues text and tokens, alone or in a list of one", async () => {
    const { text } = await said({ prompt: "ABC" });
    const tokens = [17, 18, 19];
    for (const prompt of ["ABC", ["ABC"], tokens, [tokens]]) {
      const { status, body } = await read(serving().continueText({ prompt }));
      expect(status).toBe(200);
      expect(completionReplySchema.parse(body)).toEqual(body);
      expect(body).toMatchObject({ object: "text_completion", choices: [{ text, finish_reason: "length" }] });
    }
  });

  test("streams, and reports likelihoods in the old shape", async () => {
    const { pieces, text } = await said({ prompt: "ABC", logProbs: 2 });
    const { body } = await read(serving().continueText({ logprobs: 2 }));
    const chunks = await chunksOf(serving().continueText({ logprobs: 2, stream: true }));
    for (const chunk of chunks) expect(completionChunkSchema.parse(chunk)).toEqual(chunk);
    expect(chunks.map(({ choices }) => choices[0].text).join("")).toBe(text);
    const { logprobs } = body.choices[0];
    expect(logprobs.tokens.join("")).toBe(text);
    expect(logprobs.token_logprobs).toEqual(pieces.map(({ logProbs }) => logProbs!.logProb));
    expect(logprobs.text_offset).toEqual(pieces.map((_, i) => i));
    expect(Object.values(logprobs.top_logprobs[4])).toHaveLength(2);
    for (const key of ["tokens", "token_logprobs", "top_logprobs", "text_offset"]) {
      expect(chunks.flatMap(({ choices }) => choices[0].logprobs?.[key] ?? [])).toEqual(logprobs[key]);
    }
  });
});

describe("what is refused", () => {
  const long = "A".repeat(600);
  const chat: [string, unknown, number, string | null, string, string][] = [
    ["no JSON", "{", 400, null, "invalid_json", "not JSON"],
    ["nothing", "null", 400, null, "missing_required_parameter", "the body is missing"],
    ["no object", [], 400, null, "invalid_value", "the body"],
    ["nothing", {}, 400, "model", "missing_required_parameter", "model is missing"],
    ["another model", { ...CHAT, model: "gpt" }, 404, "model", "model_not_found", 'give "toy"'],
    ["no messages", { ...CHAT, messages: [] }, 400, "messages", "invalid_value", ">=1"],
    [
      "a role",
      { ...CHAT, messages: [{ role: "tool", content: "" }] },
      400,
      "messages[0].role",
      "invalid_value",
      "user",
    ],
    [
      "no content",
      { ...CHAT, messages: [{ role: "user" }] },
      400,
      "messages[0].content",
      "invalid_value",
      "parts",
    ],
    [
      "an image",
      { ...CHAT, messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "x" } }] }] },
      400,
      "messages[0].content",
      "invalid_value",
      "images",
    ],
    [
      "tools",
      { ...CHAT, tools: [] },
      400,
      "tools",
      "unsupported_parameter",
      "tools is not supported; leave it out",
    ],
    ["logit_bias", { ...CHAT, logit_bias: {} }, 400, "logit_bias", "unsupported_parameter", "not supported"],
    [
      "a part of a message",
      { ...CHAT, messages: [{ ...USER, name: "x" }] },
      400,
      "messages[0].name",
      "unsupported_parameter",
      "leave it out",
    ],
    [
      "JSON",
      { ...CHAT, response_format: { type: "json_object" } },
      400,
      "response_format.type",
      "invalid_value",
      "text",
    ],
    ["two answers", { ...CHAT, n: 2 }, 400, "n", "invalid_value", "1"],
    ["a hot temperature", { ...CHAT, temperature: 3 }, 400, "temperature", "invalid_value", "<=2"],
    ["a text for a number", { ...CHAT, top_p: "1" }, 400, "top_p", "invalid_value", "number"],
    ["top_p 0", { ...CHAT, top_p: 0 }, 400, "top_p", "invalid_value", ">0"],
    ["half a token", { ...CHAT, max_tokens: 1.5 }, 400, "max_tokens", "invalid_value", "int"],
    ["no tokens", { ...CHAT, max_tokens: 0 }, 400, "max_tokens", "invalid_value", ">=1"],
    [
      "two limits",
      { ...CHAT, max_completion_tokens: 5 },
      400,
      "max_tokens",
      "invalid_value",
      "give one of them",
    ],
    ["a seed", { ...CHAT, seed: -1 }, 400, "seed", "invalid_value", ">=0"],
    ["an empty stop", { ...CHAT, stop: "" }, 400, "stop", "invalid_value", ">=1"],
    ["stops", { ...CHAT, stop: Array(17).fill("A") }, 400, "stop", "invalid_value", "at most 16"],
    ["top_logprobs", { ...CHAT, top_logprobs: 1 }, 400, "top_logprobs", "invalid_value", "logprobs: true"],
    [
      "21 likely ones",
      { ...CHAT, logprobs: true, top_logprobs: 21 },
      400,
      "top_logprobs",
      "invalid_value",
      "<=20",
    ],
    [
      "stream options",
      { ...CHAT, stream_options: {} },
      400,
      "stream_options",
      "invalid_value",
      "stream: true",
    ],
    [
      "a method",
      { ...CHAT, x_espalier: { method: "chain:9" } },
      400,
      "x_espalier.method",
      "invalid_value",
      "plain",
    ],
    [
      "a prediction",
      { ...CHAT, prediction: { type: "content" } },
      400,
      "prediction.content",
      "invalid_value",
      "expected a string",
    ],
    [
      "a long prompt",
      { ...CHAT, messages: [{ ...USER, content: long }] },
      400,
      null,
      "context_length_exceeded",
      "90",
    ],
  ];
  const text: typeof chat = [
    ["two prompts", { ...PROMPT, prompt: ["A", "B"] }, 400, "prompt", "invalid_value", "one prompt"],
    ["an empty prompt", { ...PROMPT, prompt: "" }, 400, "prompt", "invalid_value", ">=1"],
    ["no prompt", { ...PROMPT, prompt: undefined }, 400, "prompt", "invalid_value", "expected one prompt"],
    ["a strange token", { ...PROMPT, prompt: [48] }, 400, null, "invalid_value", "0 to 47"],
    ["echo", { ...PROMPT, echo: true }, 400, "echo", "invalid_value", "false"],
    ["messages", { ...PROMPT, messages: [USER] }, 400, "messages", "unsupported_parameter", "not supported"],
  ];

  test.each(chat)("in chat: %s", (_, ...rest) => refuses("/v1/chat/completions", ...rest));
  test.each(text)("in a completion: %s", (_, ...rest) => refuses("/v1/completions", ...rest));

  async function refuses(
    path: string,
    body: unknown,
    status: number,
    param: string | null,
    code: string,
    message: string,
  ): Promise<void> {
    for (const stream of [false, true]) {
      const { post, log, faults } = serving();
      const isObject = typeof body === "object" && !Array.isArray(body);
      const given = isObject && stream && !("stream_options" in body!) ? { ...body, stream } : body;
      const { status: actual, body: reply } = await read(post(path, given));
      expect(errorSchema.parse(reply)).toEqual(reply);
      expect({ status: actual, ...reply.error }).toEqual({
        status,
        param,
        code,
        type: "invalid_request_error",
        message: expect.stringContaining(message),
      });
      expect(log).toMatchObject([{ route: path, status, code }]);
      expect(faults).toEqual([]);
    }
  }

  test("a chat where the model has no template", async () => {
    const { status, body } = await read(serving(toyModel()).chat());
    expect([status, body.error.code]).toEqual([400, "missing_chat_template"]);
  });

  test("long names and texts are not sent back", async () => {
    const long = "x".repeat(10_000);
    const { post, chat } = serving();
    for (const reply of [chat({ [long]: 1 }), chat({ model: long }), post("/v1/completions", `{${long}`)]) {
      const { body } = await read(reply);
      expect(body.error.message.length).toBeLessThan(400);
    }
  });

  test("paths, methods, types and sizes", async () => {
    const { ask, chat, post } = serving(undefined, { maxBodyBytes: 500 });
    expect(await read(ask("/v1/embeddings"))).toMatchObject({ status: 404 });
    const wrong = await read(ask("/v1/chat/completions"));
    expect([wrong.status, wrong.headers.get("allow")]).toEqual([405, "POST"]);
    expect(await read(post("/metrics", {}))).toMatchObject({ status: 405 });
    for (const type of ["text/plain", "application/jsonx", ""]) {
      expect(await read(chat({}, { headers: { "content-type": type } }))).toMatchObject({ status: 415 });
    }
    expect((await chat({}, { headers: { "content-type": "application/json; charset=utf-8" } })).status).toBe(
      200,
    );
    const large = await read(chat({ user: "u".repeat(500) }));
    expect(large).toMatchObject({ status: 413, body: { error: { code: "body_too_large" } } });
    const body = new ReadableStream({
      pull(controller) {
        controller.enqueue(new TextEncoder().encode("[".repeat(100)));
      },
    });
    const unending = { body, duplex: "half" } as RequestInit;
    expect(await read(chat({}, unending))).toMatchObject({ status: 413 });
  });
});

describe("who may ask", () => {
  test("with a key, everybody who has it", async () => {
    const { ask, chat } = serving(undefined, { apiKey: "secret" });
    const key = (authorization: string) => ({ headers: { authorization } });
    for (const init of [
      {},
      key("Bearer wrong"),
      key("secret"),
      key("Bearer secrets"),
      key("Bearer "),
      key("Basic secret"),
    ]) {
      const { status, body, headers } = await read(chat({}, init));
      expect([status, body.error.code]).toEqual([401, "invalid_api_key"]);
      expect(headers.get("www-authenticate")).toBe("Bearer");
      expect((await ask("/v1/models", init)).status).toBe(401);
      expect((await ask("/metrics", init)).status).toBe(401);
    }
    expect((await chat({}, key("Bearer secret"))).status).toBe(200);
    expect((await ask("/health")).status).toBe(200);
  });

  test("without, those who use a name of this machine", async () => {
    const { app } = serving(undefined, { hosts: ["127.0.0.1", "localhost", "[::1]"] });
    const ask = async (host: string) => (await app.fetch(new Request(`http://${host}/v1/models`))).status;
    expect(await ask("127.0.0.1:8080")).toBe(200);
    expect(await ask("localhost")).toBe(200);
    expect(await ask("[::1]:99")).toBe(200);
    expect(await ask("evil.example")).toBe(403);
    expect(await ask("127.0.0.1.evil.example")).toBe(403);
  });

  test("web pages only where they were named", async () => {
    const from = (origin: string) => ({ headers: { origin } });
    const preflight = (origin: string) => ({
      method: "OPTIONS",
      headers: {
        origin,
        "access-control-request-method": "POST",
        "access-control-request-headers": "content-type",
      },
    });
    const closed = serving();
    expect(
      (await closed.chat({}, from("https://a.example"))).headers.get("access-control-allow-origin"),
    ).toBeNull();
    const refused = await closed.ask("/v1/chat/completions", preflight("https://a.example"));
    expect([refused.status, refused.headers.get("access-control-allow-origin")]).toEqual([405, null]);

    const open = serving(undefined, { origins: ["https://a.example"], apiKey: "k" });
    const allowed = await open.ask("/v1/chat/completions", preflight("https://a.example"));
    expect([allowed.status, allowed.headers.get("access-control-allow-origin")]).toEqual([
      204,
      "https://a.example",
    ]);
    const other = await open.ask("/v1/chat/completions", preflight("https://b.example"));
    expect(other.headers.get("access-control-allow-origin")).toBeNull();
    // A page may read what is wrong with its request.
    const wrong = await open.chat({}, from("https://a.example"));
    expect([wrong.status, wrong.headers.get("access-control-allow-origin")]).toEqual([
      401,
      "https://a.example",
    ]);
  });
});

describe("when somebody leaves", () => {
  const freed = async (puppet: Puppet) => {
    for (let i = 0; i < 1000 && puppet.ended === 0; i++) await sleep(1);
    expect(puppet.ended).toBe(1);
  };

  test("before the text is whole", async () => {
    const puppet = new Puppet(endless);
    const { chat, app, log } = serving(puppet);
    const controller = new AbortController();
    const reply = chat({}, { signal: controller.signal });
    await sleep(5);
    controller.abort();
    await reply;
    await freed(puppet);
    expect(log).toMatchObject([{ stopReason: "aborted" }]);
    await app.close();
  });

  test("in the middle of a stream", async () => {
    const puppet = new Puppet(endless);
    const { chat, app } = serving(puppet);
    const reader = (await chat({ stream: true })).body!.getReader();
    await reader.read();
    await reader.cancel();
    await freed(puppet);
    await app.close();
  });

  test("or stays and does not read", async () => {
    const puppet = new Puppet(async function* ({ signal }: GenerateRequest) {
      while (!signal?.aborted) yield textEvent("A".repeat(100_000));
      yield anEnd("aborted");
    });
    const { chat, app } = serving(puppet);
    const response = await chat({ stream: true });
    await freed(puppet);
    await expect(response.text()).rejects.toThrow("does not read");
    await app.close();
  });
});

describe("when it cannot", () => {
  test("a text without text gives its place back", async () => {
    const puppet = new Puppet(async function* () {
      yield anEnd();
    });
    const { chat, app } = serving(puppet);
    expect((await chat()).status).toBe(200);
    expect(await chunksOf(chat({ stream: true }))).toHaveLength(2);
    expect(puppet.ended).toBe(2);
    await app.close();
  });

  test("tells a full house, and when to come again", async () => {
    const full = new Puppet(async function* () {
      yield* [];
      throw new EspalierError("overloaded", "64 texts are waiting already");
    });
    for (const stream of [false, true]) {
      const { status, body, headers } = await read(serving(full).chat({ stream }));
      expect([status, headers.get("retry-after")]).toEqual([429, "7"]);
      expect(body.error).toMatchObject({ type: "rate_limit_error", code: "overloaded" });
    }
    const puppet = new Puppet(endless);
    const { chat, app } = serving(puppet, { maxOpen: 2 });
    const open = [await chat({ stream: true }), await chat({ stream: true })];
    const { status, headers } = await read(chat());
    expect([status, headers.get("retry-after")]).toEqual([429, "7"]);
    await open[0]!.body!.cancel();
    for (let i = 0; i < 1000 && puppet.ended === 0; i++) await sleep(1);
    const next = await chat({ stream: true });
    expect(next.status).toBe(200);
    await Promise.all([open[1]!, next].map((response) => response.body!.cancel()));
    await app.close();
  });

  test("its own faults go to the log, not to the client", async () => {
    const broken = new Puppet(async function* () {
      yield* [];
      throw new Error("internal: SECRET");
    });
    const { chat, faults } = serving(broken);
    const { status, body } = await read(chat());
    expect(status).toBe(500);
    expect(JSON.stringify(body)).not.toContain("SECRET");
    expect(body.error).toMatchObject({ type: "server_error", code: "internal_error" });
    expect(faults).toMatchObject([{ message: "internal: SECRET" }]);
  });

  test("a fault in the middle of a stream ends it with an error and without [DONE]", async () => {
    const { chat, faults, app } = serving(
      new Puppet(async function* () {
        yield textEvent("A");
        throw new Error("internal: SECRET");
      }),
    );
    const text = await (await chat({ stream: true })).text();
    expect(text).toMatch(/"content":"A".*\n\ndata: {"error":{.*"code":"internal_error"}}\n\n$/s);
    expect(text).not.toContain("SECRET");
    expect(faults).toHaveLength(1);
    await app.close();
  });
});

test("closing refuses new texts and waits for those that are being written", async () => {
  let finish = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  const { app, chat, ask } = serving(
    new Puppet(async function* () {
      yield textEvent("A");
      await finished;
      yield anEnd();
    }),
  );
  const running = await chat({ stream: true });
  let closed = false;
  const closing = app.close().then(() => {
    closed = true;
  });
  expect(await read(chat())).toMatchObject({ status: 503, body: { error: { code: "shutting_down" } } });
  expect(await read(ask("/health"))).toMatchObject({ status: 503, body: { status: "shutting down" } });
  await sleep(5);
  expect(closed).toBe(false);
  finish();
  expect((await chunksOf(running)).at(-1).choices[0].finish_reason).toBe("stop");
  await closing;
});

describe("what it tells of itself", () => {
  test("the model", async () => {
    const { ask } = serving();
    const { body } = await read(ask("/v1/models"));
    expect(body).toMatchObject({
      object: "list",
      data: [{ id: "toy", object: "model", owned_by: "espalier", max_model_len: 512 }],
    });
    expect((await read(ask("/v1/models/toy"))).body).toEqual(body.data[0]);
    expect(await read(ask("/v1/models/gpt"))).toMatchObject({
      status: 404,
      body: { error: { code: "model_not_found" } },
    });
    expect((await read(ask("/health"))).body).toEqual({ status: "ok" });
  });

  test("figures for Prometheus", async () => {
    const { ask, chat } = serving();
    await chat();
    await (await chat({ stream: true })).text();
    await chat({ n: 2 });
    await ask("/nothing/here");
    await ask("/v1/models/toy");
    const response = await ask("/metrics");
    expect(response.headers.get("content-type")).toMatch(/^text\/plain/);
    const page = await response.text();
    const values = new Map(
      page
        .split("\n")
        .filter((line) => line !== "" && !line.startsWith("#"))
        .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]),
    );
    expect([...values.values()].every(Number.isFinite)).toBe(true);
    expect(values.get('espalier_requests_total{route="/v1/chat/completions",status="200"}')).toBe(2);
    expect(values.get('espalier_requests_total{route="/v1/chat/completions",status="400"}')).toBe(1);
    expect(values.get('espalier_requests_total{route="other",status="404"}')).toBe(1);
    expect(values.get('espalier_requests_total{route="/v1/models/{model}",status="200"}')).toBe(1);
    expect(values.get('espalier_texts_total{reason="max-tokens"}')).toBe(2);
    expect(values.get("espalier_tokens_total")).toBe(24);
    expect(values.get("espalier_prompt_tokens_total")).toBe(8);
    expect(values.get("espalier_generation_seconds_count")).toBe(2);
    expect(values.get('espalier_generation_seconds_bucket{le="+Inf"}')).toBe(2);
    expect(values.get("espalier_open_texts")).toBe(0);
    const [resident, heap] = ["espalier_resident_bytes", "espalier_heap_bytes"].map(
      (name) => values.get(name)!,
    );
    expect(heap).toBeGreaterThan(0);
    expect(resident).toBeGreaterThan(heap!);
    expect(values.has("espalier_buffer_bytes")).toBe(true);
    expect(values.has('espalier_drafted_tokens_total{drafter="retrieval"}')).toBe(true);
    for (const name of new Set(
      [...values.keys()].map((key) => key.replace(/(_bucket|_sum|_count)?({.*)?$/, "")),
    )) {
      expect(page).toMatch(new RegExp(`^# TYPE ${name} (counter|gauge|histogram)$`, "m"));
    }
  });

  test("nothing of what anybody wrote, in log or metrics", async () => {
    const { ask, chat, continueText, log } = serving();
    const secret = "VERYSECRET";
    await chat({ messages: [{ ...USER, content: secret }], user: secret });
    await chat({ messages: [{ ...USER, content: secret }], tools: [secret] });
    await continueText({ prompt: secret, stop: secret });
    await ask(`/v1/${secret}?key=${secret}`);
    expect(log).toHaveLength(4);
    expect(JSON.stringify(log)).not.toContain(secret);
    expect(await (await ask("/metrics")).text()).not.toContain(secret);
  });

  test("its OpenAPI document, with this model's names", async () => {
    const { body } = await read(serving().ask("/openapi.json"));
    expect(body.openapi).toBe("3.1.0");
    const { schema } = body.paths["/v1/chat/completions"].post.requestBody.content["application/json"];
    expect(schema.properties.model.enum).toEqual(["toy"]);
    expect(schema.required.sort()).toEqual(["messages", "model"]);
    expect(schema.additionalProperties).toBe(false);
    expect(JSON.stringify(body)).not.toContain("undefined");
    const named = Object.keys(body.paths).sort();
    expect(named).toEqual([
      "/health",
      "/metrics",
      "/openapi.json",
      "/v1/chat/completions",
      "/v1/completions",
      "/v1/models",
      "/v1/models/{model}",
    ]);
    expect(body.security).toBeUndefined();
    const keyed = await read(
      serving(undefined, { apiKey: "k" }).ask("/openapi.json", { headers: { authorization: "Bearer k" } }),
    );
    expect(keyed.body.security).toEqual([{ key: [] }]);
  });
});
