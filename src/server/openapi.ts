/** @file The OpenAPI 3.1 document (https://spec.openapis.org/oas/v3.1.0), made of the schemas that requests are checked with. */

import { z } from "zod";
import type { Generator } from "./generator.ts";
import {
  chatChunkSchema,
  chatReplySchema,
  completionChunkSchema,
  completionReplySchema,
  errorSchema,
  healthSchema,
  modelSchema,
  modelsSchema,
} from "./reply-schema.ts";
import { chatSchema, completionSchema } from "./schema.ts";

interface About {
  readonly version: string;
  readonly needsKey: boolean;
}

type Json = { [name: string]: unknown };

/** The document of a server of this model. */
export function openApi(generator: Generator, { version, needsKey }: About): Json {
  const problem = { description: "What is wrong, and what to change.", content: json(reply(errorSchema)) };
  const refusals = (...statuses: number[]) => Object.fromEntries(statuses.map((status) => [status, problem]));
  const always = [403, ...(needsKey ? [401] : [])];
  const read = (summary: string, content: Json, ...more: number[]) => ({
    get: { summary, responses: { 200: { description: "OK", content }, ...refusals(...always, ...more) } },
  });
  const write = (summary: string, request: z.ZodType, whole: z.ZodType, chunk: z.ZodType) => ({
    post: {
      summary,
      requestBody: { required: true, content: json(bodyOf(request, generator)) },
      responses: {
        200: {
          description:
            "The text; with stream: true, chunks of it as server-sent events, the last one [DONE].",
          content: { ...json(reply(whole)), "text/event-stream": { schema: eventOf(chunk) } },
        },
        ...refusals(...always, 400, 404, 413, 415, 429, 500, 503),
      },
    },
  });
  const model = { name: "model", in: "path", required: true, schema: { type: "string" } };
  return {
    openapi: "3.1.0",
    info: {
      title: "Espalier",
      version,
      description: "Chat and text completions in the shape of OpenAI's API.",
    },
    paths: {
      "/v1/chat/completions": write("Answer a conversation", chatSchema, chatReplySchema, chatChunkSchema),
      "/v1/completions": write(
        "Continue a prompt",
        completionSchema,
        completionReplySchema,
        completionChunkSchema,
      ),
      "/v1/models": read("The model that answers", json(reply(modelsSchema))),
      "/v1/models/{model}": { parameters: [model], ...read("One model", json(reply(modelSchema)), 404) },
      "/health": {
        get: {
          summary: "Whether the server takes requests",
          security: [],
          responses: {
            200: { description: "It does.", content: json(reply(healthSchema)) },
            503: { description: "It is shutting down.", content: json(reply(healthSchema)) },
            ...refusals(403),
          },
        },
      },
      "/metrics": read("Counters for Prometheus", { "text/plain": { schema: { type: "string" } } }),
      "/openapi.json": read("This document", json({ type: "object" })),
    },
    ...(needsKey
      ? {
          components: { securitySchemes: { key: { type: "http", scheme: "bearer" } } },
          security: [{ key: [] }],
        }
      : {}),
  };
}

function json(schema: Json): Json {
  return { "application/json": { schema } };
}

/** A request's schema with the names that this model goes by. */
function bodyOf(schema: z.ZodType, { name, methodNames }: Generator): Json {
  const body = z.toJSONSchema(schema, { io: "input" }) as { properties: Record<string, Json> };
  const { model, x_espalier: own } = body.properties;
  model!.enum = [name];
  const [options] = own!.anyOf as [{ properties: { method: Json } }];
  options.properties.method.enum = methodNames;
  return body;
}

/** One event of a stream, as OpenAPI 3.2 describes them; 3.1 has no word for a sequence. */
function eventOf(chunk: z.ZodType): Json {
  const content = { anyOf: [reply(chunk), reply(errorSchema)] };
  const json = { type: "string", contentMediaType: "application/json", contentSchema: content };
  return { type: "object", properties: { data: { anyOf: [{ const: "[DONE]" }, json] } }, required: ["data"] };
}

function reply(schema: z.ZodType): Json {
  return z.toJSONSchema(schema);
}
