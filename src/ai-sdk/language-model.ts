/**
 * @file A language model for Vercel's AI SDK (LanguageModelV4, AI SDK 7): generateText and streamText run in this process, without a
 * server.
 */

import type { GenerateEvent, GenerateRequest } from "../session/api.ts";
import { finishOf } from "./figures.ts";
import { requestOf } from "./request.ts";
import type { CallOptions, GenerateResult, ResponseMetadata, StreamPart } from "./specification.ts";

export type { Figures } from "./figures.ts";
export type { EspalierOptions } from "./request.ts";
export type { CallOptions, GenerateResult, StreamPart } from "./specification.ts";

/** What generates: a loaded model. */
export interface TextGenerator {
  readonly name: string;
  generate(request: GenerateRequest): AsyncIterable<GenerateEvent>;
}

export interface LanguageModel {
  readonly specificationVersion: "v4";
  readonly provider: "espalier";
  readonly modelId: string;
  readonly supportedUrls: Record<string, RegExp[]>;
  /** Rejects with EspalierError "unsupported" for what the model cannot do, and with the signal's reason when that aborts. */
  doGenerate(options: CallOptions): Promise<GenerateResult>;
  /** The same as a stream. Rejects, rather than failing later, when the call makes no sense. */
  doStream(options: CallOptions): Promise<{ stream: ReadableStream<StreamPart> }>;
}

/**
 * `model`, for `generateText` and `streamText` of the AI SDK. Prompts are rendered with the model's chat template. Settings that a call
 * leaves out are those of a request, so temperature is 0. `providerOptions: { espalier: … }` takes {@link EspalierOptions}, and
 * `providerMetadata.espalier` has {@link Figures}. The model stays yours: dispose it when nobody uses it any more.
 */
export function languageModel(model: TextGenerator): LanguageModel {
  return {
    specificationVersion: "v4",
    provider: "espalier",
    modelId: model.name,
    supportedUrls: {},

    async doGenerate(options) {
      for await (const event of model.generate(requestOf(options))) {
        if (event.type === "text") continue;
        throwIfAborted(event, options);
        return {
          content: [{ type: "text", text: event.text }],
          ...finishOf(event),
          warnings: [],
          response: metadataOf(model),
        };
      }
      throw new Error("internal: the generation ended without an end event");
    },

    async doStream(options) {
      const parts = partsOf(model, options);
      // What is wrong with a call shows before its first part.
      let next: IteratorResult<StreamPart, void> | undefined = await parts.next();
      const stream = new ReadableStream<StreamPart>({
        async pull(controller) {
          const { done, value } = next ?? (await parts.next());
          next = undefined;
          if (done) controller.close();
          else controller.enqueue(value);
        },
        async cancel() {
          await parts.return();
        },
      });
      return { stream };
    },
  };
}

async function* partsOf(
  model: TextGenerator,
  options: CallOptions,
): AsyncGenerator<StreamPart, void, undefined> {
  const id = "0";
  let begun = false;
  for await (const event of model.generate(requestOf(options))) {
    if (!begun) {
      begun = true;
      yield { type: "stream-start", warnings: [] };
      yield { type: "response-metadata", ...metadataOf(model) };
      yield { type: "text-start", id };
    }
    if (options.includeRawChunks) yield { type: "raw", rawValue: event };
    if (event.type === "text") {
      yield { type: "text-delta", id, delta: event.text };
    } else {
      throwIfAborted(event, options);
      yield { type: "text-end", id };
      yield { type: "finish", ...finishOf(event) };
    }
  }
}

/** The SDK learns of an abort by its reason being thrown. */
function throwIfAborted(
  { stopReason }: Extract<GenerateEvent, { type: "end" }>,
  { abortSignal }: CallOptions,
): void {
  if (stopReason === "aborted") abortSignal?.throwIfAborted();
}

function metadataOf({ name }: TextGenerator): ResponseMetadata {
  return { id: crypto.randomUUID(), timestamp: new Date(), modelId: name };
}
