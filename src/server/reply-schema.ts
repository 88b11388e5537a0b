/** @file What replies hold. The OpenAPI document is made of the same schemas, and their types hold the code to them. */

import { z } from "zod";

const count = z.int().min(0);

const drafterStats = z.object({
  drafted: count.describe("Tokens it guessed that the model looked at."),
  accepted: count.describe("Those that the model then wrote."),
  passes: count.describe("Passes of its own model; 0 for tables."),
});

/** What drafting did for one text. */
export const figuresSchema = z.object({
  method: z.string(),
  passes: count.describe("Passes of the model after the prompt."),
  mat: z.number().min(0).describe("Mean accepted tokens: tokens written per pass."),
  drafters: z.record(z.string(), drafterStats),
  off: z.string().nullable().describe("Why drafting had stopped by the end; null when it had not."),
  seed: count.describe("Give it back for the same text."),
});

export const usageSchema = z.object({
  prompt_tokens: count,
  completion_tokens: count,
  total_tokens: count,
  prompt_tokens_details: z.object({ cached_tokens: count }),
  completion_tokens_details: z.object({
    accepted_prediction_tokens: count.describe(
      "Tokens guessed from the prediction that the model then wrote.",
    ),
    rejected_prediction_tokens: count.describe("Tokens guessed from it that the model did not write."),
  }),
});

const tokenLogProb = z.object({
  token: z.string(),
  logprob: z.number(),
  bytes: z.array(z.int().min(0).max(255)),
});
const chatLogProbs = z.object({
  content: z.array(tokenLogProb.extend({ top_logprobs: z.array(tokenLogProb) })),
  refusal: z.null(),
});
const completionLogProbs = z.object({
  tokens: z.array(z.string()),
  token_logprobs: z.array(z.number()),
  top_logprobs: z.array(z.record(z.string(), z.number())),
  text_offset: z.array(count),
});

const finishReason = z.enum(["stop", "length"]);
const index = z.literal(0);
const head = { id: z.string(), created: count, model: z.string(), system_fingerprint: z.string() };
const figures = { x_espalier: figuresSchema };
/** Of the last chunk with a choice. */
const lateFigures = { x_espalier: figuresSchema.optional() };
/** With include_usage: null but in the last chunk, which has no choice. */
const lateUsage = { usage: usageSchema.nullable().optional() };

export const chatReplySchema = z.object({
  ...head,
  object: z.literal("chat.completion"),
  choices: z
    .array(
      z.object({
        index,
        message: z.object({ role: z.literal("assistant"), content: z.string(), refusal: z.null() }),
        logprobs: chatLogProbs.nullable(),
        finish_reason: finishReason,
      }),
    )
    .length(1),
  usage: usageSchema,
  ...figures,
});

export const chatChunkSchema = z.object({
  ...head,
  object: z.literal("chat.completion.chunk"),
  choices: z.array(
    z.object({
      index,
      delta: z.object({ role: z.literal("assistant").optional(), content: z.string().optional() }),
      logprobs: chatLogProbs.nullable(),
      finish_reason: finishReason.nullable(),
    }),
  ),
  ...lateUsage,
  ...lateFigures,
});

const completionChoice = { index, text: z.string(), logprobs: completionLogProbs.nullable() };

export const completionReplySchema = z.object({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.object({ ...completionChoice, finish_reason: finishReason })).length(1),
  usage: usageSchema,
  ...figures,
});

export const completionChunkSchema = z.object({
  ...head,
  object: z.literal("text_completion"),
  choices: z.array(z.object({ ...completionChoice, finish_reason: finishReason.nullable() })),
  ...lateUsage,
  ...lateFigures,
});

export const modelSchema = z.object({
  id: z.string(),
  object: z.literal("model"),
  created: count,
  owned_by: z.string(),
  max_model_len: count.describe("Most tokens of prompt and answer together. Not OpenAI's."),
});
export const modelsSchema = z.object({ object: z.literal("list"), data: z.array(modelSchema) });

export const healthSchema = z.object({ status: z.enum(["ok", "shutting down"]) });

export const errorSchema = z.object({
  error: z.object({
    message: z.string(),
    type: z.string(),
    param: z.string().nullable(),
    code: z.string().nullable(),
  }),
});

export type ChatReply = z.infer<typeof chatReplySchema>;
export type ChatChunk = z.infer<typeof chatChunkSchema>;
export type CompletionReply = z.infer<typeof completionReplySchema>;
export type CompletionChunk = z.infer<typeof completionChunkSchema>;
export type Usage = z.infer<typeof usageSchema>;
export type Figures = z.infer<typeof figuresSchema>;
export type ChatLogProbs = z.infer<typeof chatLogProbs>;
export type CompletionLogProbs = z.infer<typeof completionLogProbs>;
