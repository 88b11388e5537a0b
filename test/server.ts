/** @file The server on a toy model, and its replies as data, for tests. */

import { type AppOptions, createApp } from "../src/server/app.ts";
import type { Generator } from "../src/server/generator.ts";
import type { LogEntry } from "../src/server/texts.ts";
import type { GenerateEvent, GenerateRequest } from "../src/session/api.ts";
import { talkingToy } from "./run-cli.ts";
import { collect, toyModel } from "./toy-model.ts";

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came.
  readonly body: any;
}

/** A conversation that the toy can read, ended after 12 tokens unless its end comes first. */
export const CHAT = { model: "toy", messages: [{ role: "user", content: "ABC" }], max_tokens: 12, seed: 40 };
export const PROMPT = { model: "toy", prompt: "ABC", max_tokens: 12, seed: 40 };

/** The server of `generator`, with what it logged. */
export function serving(generator: Generator = talkingToy(), options: Partial<AppOptions> = {}) {
  const log: LogEntry[] = [];
  const faults: unknown[] = [];
  const app = createApp(generator, {
    version: "1.2.3",
    onLog: (entry) => log.push(entry),
    onFault: (error) => faults.push(error),
    ...options,
  });
  const ask = (path: string, init: RequestInit = {}) =>
    app.fetch(new Request(`http://localhost${path}`, init));
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    ask(path, {
      method: "POST",
      body: typeof body === "string" ? body : JSON.stringify(body),
      ...init,
      headers: { "content-type": "application/json", ...(init.headers as Record<string, string>) },
    });
  const chat = (change: object = {}, init: RequestInit = {}) =>
    post("/v1/chat/completions", { ...CHAT, ...change }, init);
  const continueText = (change: object = {}) => post("/v1/completions", { ...PROMPT, ...change });
  return { app, log, faults, ask, post, chat, continueText };
}

export async function read(response: Response | Promise<Response>): Promise<Reply> {
  const { status, headers } = await response;
  return { status, headers, body: await (await response).json() };
}

/** The chunks of a stream; it has to end with [DONE]. */
// biome-ignore lint/suspicious/noExplicitAny: a test looks at whatever came.
export async function chunksOf(response: Response | Promise<Response>): Promise<any[]> {
  const lines = (await (await response).text()).split("\n\n");
  if (lines.pop() !== "" || lines.pop() !== "data: [DONE]")
    throw new Error("the stream does not end with [DONE]");
  return lines.map((line) => {
    if (!line.startsWith("data: ")) throw new Error(`a line that is no data: ${line}`);
    return JSON.parse(line.slice("data: ".length));
  });
}

/** What the toy says of itself to a request. */
export function said(request: GenerateRequest, model = talkingToy()) {
  return collect(model.generate({ temperature: 1, maxTokens: 12, seed: 40, ...request }));
}

/** A generator that does as it is told, and notes what it was asked. */
export class Puppet implements Generator {
  readonly name = "toy";
  readonly contextLength = 512;
  readonly methodNames = ["plain", "recycle-lookup"];
  readonly defaultMethod = "recycle-lookup";
  readonly retryAfter = 7;
  readonly requests: GenerateRequest[] = [];
  /** Generations whose stream was left. */
  ended = 0;
  readonly #play: (request: GenerateRequest) => AsyncIterable<GenerateEvent>;

  constructor(play: (request: GenerateRequest) => AsyncIterable<GenerateEvent>) {
    this.#play = play;
  }

  async *generate(request: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
    this.requests.push(request);
    try {
      yield* this.#play(request);
    } finally {
      this.ended++;
    }
  }
}

export const textEvent = (text: string): GenerateEvent => ({
  type: "text",
  text,
  pieces: [{ token: 1, text, drafters: [] }],
});

/** The end event of a text that a toy wrote. */
export async function anEnd(stopReason: "end-token" | "aborted" = "end-token"): Promise<GenerateEvent> {
  const { end } = await collect(toyModel().generate({ prompt: "1", maxTokens: 1 }));
  return { ...end, stopReason };
}

/** Writes a token a turn of the event loop, without end, until it is aborted. */
export async function* endless({ signal }: GenerateRequest): AsyncGenerator<GenerateEvent, void, undefined> {
  while (!signal?.aborted) {
    yield textEvent("A");
    await new Promise((resolve) => setImmediate(resolve));
  }
  yield anEnd("aborted");
}
