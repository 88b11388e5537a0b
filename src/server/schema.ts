/**
 * @file What requests may say: OpenAI's names, with limits. The OpenAPI document is made of the same schemas. A name that is not here
 * is refused, so nothing is ever ignored but what only names the caller (`user`, `metadata` and the like).
 */

import { z } from "zod";

const MOST_SEED = 2 ** 32 - 1;
const MOST_STOPS = 16;

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });
const content = z.union([z.string(), z.array(textPart).min(1)], {
  error:
    'expected a string, or a list of parts {"type": "text", "text": …}; images, sound and files are not supported',
});

export const messageSchema = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content,
  /** Comes back with the messages that this server sent. */
  refusal: z.null().optional(),
});

const stop = z.union([z.string().min(1), z.array(z.string().min(1)).max(MOST_STOPS)], {
  error: `expected a string, or a list of at most ${MOST_STOPS}, none of them empty`,
});

/** What both kinds of completion take. */
const common = {
  model: z.string().describe("The name that GET /v1/models gives."),
  max_tokens: z.int().min(1).nullish().describe("Most tokens to generate; default: what the context leaves."),
  temperature: z.number().min(0).max(2).nullish().describe("0 takes the most likely token. Default 1."),
  top_p: z
    .number()
    .gt(0)
    .max(1)
    .nullish()
    .describe("Keep the likeliest tokens that have this probability together. Default 1."),
  top_k: z
    .int()
    .min(0)
    .nullish()
    .describe("Keep the k likeliest tokens; 0, the default, keeps all. Not OpenAI's."),
  min_p: z
    .number()
    .min(0)
    .max(1)
    .nullish()
    .describe("Drop tokens less likely than min_p times the likeliest. Not OpenAI's."),
  repetition_penalty: z
    .number()
    .gt(0)
    .max(10)
    .nullish()
    .describe("Above 1, makes tokens of the text less likely. Not OpenAI's."),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  presence_penalty: z.number().min(-2).max(2).nullish(),
  seed: z
    .int()
    .min(0)
    .max(MOST_SEED)
    .nullish()
    .describe("The same seed gives the same text. Default: a random one, which the reply names."),
  stop: stop.nullish().describe("Ends the text before this; it is not part of it."),
  n: z.literal(1).nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.strictObject({ include_usage: z.boolean().optional() }).nullish(),
  user: z.string().nullish().describe("Names the caller; has no effect."),
  x_espalier: z
    .strictObject({ method: z.string().optional().describe("How to draft; it cannot change the text.") })
    .nullish(),
};

export const chatSchema = z.strictObject({
  ...common,
  messages: z.array(messageSchema).min(1),
  max_completion_tokens: z.int().min(1).nullish().describe("The newer name of max_tokens."),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish().describe("Needs logprobs: true."),
  response_format: z.strictObject({ type: z.literal("text") }).nullish(),
  prediction: z
    .strictObject({ type: z.literal("content"), content })
    .nullish()
    .describe(
      "A text that the answer will be like: what agrees with it comes faster. It cannot change the text.",
    ),
  modalities: z.array(z.literal("text")).length(1).nullish(),
  store: z.literal(false).nullish(),
  service_tier: z.enum(["auto", "default"]).nullish(),
  metadata: z.record(z.string(), z.string()).nullish().describe("Has no effect."),
  safety_identifier: z.string().nullish().describe("Has no effect."),
  prompt_cache_key: z.string().nullish().describe("Has no effect: all requests share the cache."),
});

const tokens = z.array(z.int().min(0)).min(1);
const prompt = z.union(
  [z.string().min(1), tokens, z.array(z.string().min(1)).length(1), z.array(tokens).length(1)],
  { error: "expected one prompt, not empty: a string or a list of token ids" },
);

export const completionSchema = z.strictObject({
  ...common,
  prompt,
  logprobs: z.int().min(0).max(5).nullish().describe("So many of the likeliest tokens in each place."),
  best_of: z.literal(1).nullish(),
  echo: z.literal(false).nullish(),
  suffix: z.null().optional(),
});

export type ChatBody = z.infer<typeof chatSchema>;
export type CompletionBody = z.infer<typeof completionSchema>;
