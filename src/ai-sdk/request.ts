/** @file From the AI SDK's call options to a request. What is not supported is refused, never ignored. */

import { EspalierError } from "../errors.ts";
import type { GenerateRequest } from "../session/api.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { CallOptions, PromptMessage } from "./specification.ts";

/** `providerOptions.espalier`: what requests have beyond the SDK's settings. */
export type EspalierOptions = Pick<
  GenerateRequest,
  "method" | "budget" | "prediction" | "minP" | "repetitionPenalty"
>;

const OPTIONS = ["method", "budget", "prediction", "minP", "repetitionPenalty"];

/** Throws EspalierError "unsupported" and TypeError; what values are wrong shows when the request is generated. */
export function requestOf(options: CallOptions): GenerateRequest {
  const { tools = [], responseFormat, reasoning, providerOptions } = options;
  if (tools.length > 0) throw unsupported("tools");
  if (responseFormat !== undefined && responseFormat.type !== "text")
    throw unsupported(`the response format "${responseFormat.type}"`);
  if (reasoning !== undefined && reasoning !== "provider-default" && reasoning !== "none")
    throw unsupported(`reasoning: "${reasoning}"`);
  const own = providerOptions?.espalier ?? {};
  for (const name of Object.keys(own)) {
    if (!OPTIONS.includes(name))
      throw new TypeError(`providerOptions.espalier has ${name}; it may have ${OPTIONS.join(", ")}`);
  }
  const request = {
    ...(own as EspalierOptions),
    messages: options.prompt.map(messageOf),
    maxTokens: options.maxOutputTokens,
    temperature: options.temperature,
    topP: options.topP,
    topK: options.topK,
    presencePenalty: options.presencePenalty,
    frequencyPenalty: options.frequencyPenalty,
    seed: options.seed,
    stop: options.stopSequences,
    signal: options.abortSignal,
  };
  return Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined));
}

function messageOf({ role, content }: PromptMessage): ChatMessage {
  if (role === "tool") throw unsupported("results of tools");
  if (typeof content === "string") return { role, content };
  const texts = content.map(({ type, text }) => {
    if (type !== "text" || text === undefined) throw unsupported(`a part of type "${type}" in a message`);
    return text;
  });
  return { role, content: texts.join("") };
}

function unsupported(what: string): EspalierError {
  return new EspalierError("unsupported", `${what} cannot be used with this model; leave it out`);
}
