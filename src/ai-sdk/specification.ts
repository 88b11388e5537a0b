/**
 * @file The part of the AI SDK's LanguageModelV4 that is spoken here, in types of our own: whoever does not use the SDK need not have it.
 * A test holds them to the SDK's.
 */

import type { Figures } from "./figures.ts";

export interface CallOptions {
  readonly prompt: readonly PromptMessage[];
  readonly maxOutputTokens?: number | undefined;
  readonly temperature?: number | undefined;
  readonly stopSequences?: readonly string[] | undefined;
  readonly topP?: number | undefined;
  readonly topK?: number | undefined;
  readonly presencePenalty?: number | undefined;
  readonly frequencyPenalty?: number | undefined;
  readonly responseFormat?: { readonly type: string } | undefined;
  readonly seed?: number | undefined;
  readonly tools?: readonly unknown[] | undefined;
  readonly includeRawChunks?: boolean | undefined;
  readonly abortSignal?: AbortSignal | undefined;
  readonly reasoning?: string | undefined;
  readonly providerOptions?: Readonly<Record<string, Readonly<Record<string, unknown>>>> | undefined;
}

export interface PromptMessage {
  readonly role: "system" | "user" | "assistant" | "tool";
  readonly content: string | readonly PromptPart[];
}

/** Only those of type "text" are understood. */
export interface PromptPart {
  readonly type: string;
  readonly text?: string;
}

export interface FinishReason {
  unified: "stop" | "length";
  /** Espalier's own word for it. */
  raw: string;
}

export interface Usage {
  inputTokens: { total: number; noCache: number; cacheRead: number; cacheWrite: undefined };
  outputTokens: { total: number; text: number; reasoning: number };
}

/** What a finished text carries. */
export interface Finish {
  finishReason: FinishReason;
  usage: Usage;
  providerMetadata: { espalier: Figures };
}

export interface ResponseMetadata {
  id: string;
  timestamp: Date;
  modelId: string;
}

export interface GenerateResult extends Finish {
  content: { type: "text"; text: string }[];
  warnings: never[];
  response: ResponseMetadata;
}

export type StreamPart =
  | { type: "stream-start"; warnings: never[] }
  | ({ type: "response-metadata" } & ResponseMetadata)
  | { type: "text-start" | "text-end"; id: string }
  | { type: "text-delta"; id: string; delta: string }
  | { type: "raw"; rawValue: unknown }
  | ({ type: "finish" } & Finish);
