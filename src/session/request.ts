/** @file Checks a request and turns it into what the steps need: prompt tokens, limits and settings. */

import { EspalierError } from "../errors.ts";
import { type SamplingSettings, samplingSettings } from "../sampling/options.ts";
import type { TokenId } from "../types.ts";
import type { GenerateRequest } from "./api.ts";
import type { ModelParts } from "./parts.ts";
import type { StepReport } from "./step-report.ts";

/** The longest list of likely tokens that a piece can carry. */
const MOST_LOG_PROBS = 20;

export interface CheckedRequest {
  readonly prompt: readonly TokenId[];
  /** The text goes on with the prompt's, rather than being a message of its own. */
  readonly continues: boolean;
  readonly sampling: SamplingSettings;
  /** What the request allows; the context may allow less. */
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** Undefined for the model's default. */
  readonly method: string | undefined;
  readonly budget: number | undefined;
  /** Tokens of the predicted text. */
  readonly prediction: readonly TokenId[] | undefined;
  /** How many of the likeliest tokens to report with each; undefined for no report. */
  readonly logProbs: number | undefined;
  readonly onStep: ((step: StepReport) => void) | undefined;
  readonly signal: AbortSignal | undefined;
}

/** Throws RangeError or TypeError naming what is wrong, EspalierError when prompt and model do not fit together. */
export function checkRequest(
  request: GenerateRequest,
  model: ModelParts,
  contextLength: number,
): CheckedRequest {
  const { maxTokens, budget, logProbs, onStep, stop = [] } = request;
  if (maxTokens !== undefined) needCount("maxTokens", maxTokens);
  if (budget !== undefined) {
    needCount("budget", budget);
    if (budget > model.target.maxNodes) {
      throw new RangeError(
        `budget is ${budget}; a pass of this model takes at most ${model.target.maxNodes} nodes`,
      );
    }
  }
  if (
    logProbs !== undefined &&
    !(Number.isInteger(logProbs) && logProbs >= 0 && logProbs <= MOST_LOG_PROBS)
  ) {
    throw new RangeError(`logProbs is ${logProbs}; give an integer from 0 to ${MOST_LOG_PROBS}`);
  }
  if (onStep !== undefined && typeof onStep !== "function")
    throw new TypeError(`onStep is ${String(onStep)}; give a function`);
  if (!Array.isArray(stop)) throw new TypeError(`stop is ${String(stop)}; give an array of strings`);
  for (const text of stop) {
    if (typeof text !== "string") throw new TypeError(`stop holds ${String(text)}; give strings`);
    if (text === "") throw new RangeError("stop holds an empty string; give at least one character");
  }
  const sampling = samplingSettings(request);
  const prompt = promptTokens(request, model);
  const over = prompt.length + 1 - contextLength;
  if (over > 0) {
    throw new EspalierError(
      "context-overflow",
      `the prompt has ${prompt.length} tokens and needs room for one more, but the context holds ${contextLength}: ` +
        `shorten it by ${over}`,
    );
  }
  return {
    prompt,
    continues: request.messages === undefined,
    sampling,
    maxTokens: maxTokens ?? Infinity,
    stop,
    method: request.method,
    budget,
    prediction: predictedTokens(request, model),
    logProbs,
    onStep,
    signal: request.signal,
  };
}

function predictedTokens({ prediction }: GenerateRequest, model: ModelParts): readonly TokenId[] | undefined {
  if (prediction === undefined) return undefined;
  if (typeof prediction !== "string")
    throw new TypeError(`prediction is ${String(prediction)}; give a string`);
  return model.tokenizer.encode(prediction, { special: false });
}

function needCount(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name} is ${value}; give an integer of at least 1`);
  }
}

/** The tokens of a request's prompt. Throws RangeError, TypeError, and EspalierError "missing-chat-template". */
export function promptTokens(
  request: Pick<GenerateRequest, "prompt" | "messages" | "tokens">,
  model: Pick<ModelParts, "name" | "tokenizer" | "chatTemplate"> & {
    readonly target: Pick<ModelParts["target"], "vocabSize">;
  },
): readonly TokenId[] {
  const { prompt, messages, tokens } = request;
  const given = Object.entries({ prompt, messages, tokens }).filter(([, value]) => value !== undefined);
  if (given.length !== 1) {
    const names = given.map(([name]) => name).join(" and ") || "none";
    throw new RangeError(`give exactly one of prompt, messages and tokens; ${names} given`);
  }
  if (given[0]![1]!.length === 0)
    throw new RangeError(`${given[0]![0]} is empty; give something to continue`);
  if (tokens !== undefined) {
    const { vocabSize } = model.target;
    const wrong = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabSize);
    if (wrong !== undefined) {
      throw new RangeError(
        `tokens holds ${wrong}; this model's tokens are integers from 0 to ${vocabSize - 1}`,
      );
    }
    return tokens;
  }
  if (messages !== undefined) {
    if (model.chatTemplate === undefined) {
      throw new EspalierError(
        "missing-chat-template",
        `${model.name} has no chat template; give a prompt instead of messages`,
      );
    }
    const { tokenizer, chatTemplate } = model;
    // Only the template may set special tokens; what a message holds is text.
    const quoted = messages.map((message) => {
      const { content } = message;
      if (typeof content !== "string") {
        throw new TypeError(`a message's content is ${String(content)}; give a string`);
      }
      return { ...message, content: tokenizer.quote(content) };
    });
    return tokenizer.encode(chatTemplate.render(quoted, { addGenerationPrompt: true }), { special: true });
  }
  const { tokenizer } = model;
  return [...tokenizer.promptStart, ...tokenizer.encode(prompt!, { special: false }), ...tokenizer.promptEnd];
}
