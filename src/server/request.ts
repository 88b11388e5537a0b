/** @file From a checked body to the request that a model understands. */

import type { z } from "zod";
import type { GenerateRequest } from "../session/api.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import { ApiError } from "./api-error.ts";
import type { Generator } from "./generator.ts";
import type { ChatBody, CompletionBody, messageSchema } from "./schema.ts";

/** What a reply needs of the request beside the text. */
export interface Job {
  readonly request: GenerateRequest & { readonly seed: number };
  readonly stream: boolean;
  readonly includeUsage: boolean;
}

export function chatJob(body: ChatBody, generator: Generator): Job {
  const { logprobs, top_logprobs: top, max_completion_tokens: most, prediction } = body;
  if (top != null && logprobs !== true)
    throw invalid("top_logprobs", "top_logprobs needs logprobs: true; give that, or leave it out");
  if (most != null && body.max_tokens != null && most !== body.max_tokens)
    throw invalid("max_tokens", "max_tokens and max_completion_tokens differ; give one of them");
  return job(body, generator, {
    messages: body.messages.map(messageOf),
    maxTokens: most ?? body.max_tokens,
    prediction: prediction && textOf(prediction.content),
    logProbs: logprobs === true ? (top ?? 0) : undefined,
  });
}

export function completionJob(body: CompletionBody, generator: Generator): Job {
  const [first] = body.prompt;
  // One prompt may come in a list of its own.
  const prompt = typeof body.prompt === "string" || typeof first === "number" ? body.prompt : first;
  return job(body, generator, {
    ...(typeof prompt === "string" ? { prompt } : { tokens: prompt as number[] }),
    maxTokens: body.max_tokens,
    logProbs: body.logprobs,
  });
}

type Maybe<T> = { readonly [K in keyof T]?: T[K] | null | undefined };

function job(body: ChatBody | CompletionBody, generator: Generator, own: Maybe<GenerateRequest>): Job {
  if (body.model !== generator.name) {
    throw new ApiError(
      404,
      `there is no model ${JSON.stringify(body.model.slice(0, 100))}; give "${generator.name}"`,
      {
        param: "model",
        code: "model_not_found",
      },
    );
  }
  const stream = body.stream === true;
  if (body.stream_options != null && !stream)
    throw invalid("stream_options", "stream_options needs stream: true; give that, or leave it out");
  const method = body.x_espalier?.method;
  if (method !== undefined && !generator.methodNames.includes(method)) {
    const names = generator.methodNames.join(", ");
    throw invalid("x_espalier.method", `x_espalier.method is none of this model's: ${names}`);
  }
  const { stop } = body;
  const request = given({
    ...own,
    temperature: body.temperature ?? 1,
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    repetitionPenalty: body.repetition_penalty,
    frequencyPenalty: body.frequency_penalty,
    presencePenalty: body.presence_penalty,
    stop: typeof stop === "string" ? [stop] : stop,
    method,
  });
  const seed = body.seed ?? crypto.getRandomValues(new Uint32Array(1))[0]!;
  return { request: { ...request, seed }, stream, includeUsage: body.stream_options?.include_usage === true };
}

/** What is neither null nor undefined. */
function given(values: Maybe<GenerateRequest>): GenerateRequest {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value != null));
}

function messageOf({ role, content }: z.infer<typeof messageSchema>): ChatMessage {
  return { role: role === "developer" ? "system" : role, content: textOf(content) };
}

function textOf(content: z.infer<typeof messageSchema>["content"]): string {
  return typeof content === "string" ? content : content.map(({ text }) => text).join("");
}

function invalid(param: string, message: string): ApiError {
  return new ApiError(400, message, { param, code: "invalid_value" });
}
