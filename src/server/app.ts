/**
 * @file The server without its port: a function from Request to Response, in the shape of OpenAI's API. Whatever a client sends, the
 * reply is a status that fits and, when that is no success, an error in OpenAI's shape. Texts of clients go to them and nowhere else.
 */

import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import type { z } from "zod";
import { ApiError, schemaError } from "./api-error.ts";
import type { Generator } from "./generator.ts";
import { checkHost, checkKey } from "./guard.ts";
import { Metrics } from "./metrics.ts";
import { OpenTexts } from "./open-texts.ts";
import { openApi } from "./openapi.ts";
import { ChatReplies, CompletionReplies, type Head } from "./reply.ts";
import { chatJob, completionJob } from "./request.ts";
import { chatSchema, completionSchema } from "./schema.ts";
import { type LogEntry, Texts } from "./texts.ts";

export interface AppOptions {
  /** Version of Espalier, for `system_fingerprint` and the OpenAPI document. */
  readonly version: string;
  /** When given, every request but those to /health has to bring it. */
  readonly apiKey?: string | undefined;
  /** Host names under which the server may be addressed. Default: any. */
  readonly hosts?: readonly string[] | undefined;
  /** Web pages that may ask, such as `https://example.com`; `*` for all. Default: none. */
  readonly origins?: readonly string[] | undefined;
  /** Largest body. Default 1 MiB. */
  readonly maxBodyBytes?: number | undefined;
  /** Most texts at once, waiting ones included; further requests get 429. Default 128. */
  readonly maxOpen?: number | undefined;
  readonly onLog?: ((entry: LogEntry) => void) | undefined;
  /** Told of errors that are the server's own. */
  readonly onFault?: ((error: unknown) => void) | undefined;
}

export interface App {
  readonly fetch: (request: Request) => Promise<Response>;
  /** Refuses new texts; settles when all that are being written have ended. */
  close(): Promise<void>;
}

const ROUTES = [
  "/v1/chat/completions",
  "/v1/completions",
  "/v1/models",
  "/health",
  "/metrics",
  "/openapi.json",
];

/** When the request came. */
type Env = { Variables: { start: number } };

export function createApp(generator: Generator, options: AppOptions): App {
  const { version, apiKey, hosts, origins = [], maxBodyBytes = 1 << 20, maxOpen = 128 } = options;
  const { onLog, onFault } = options;
  const metrics = new Metrics();
  const places = new OpenTexts(maxOpen);
  const created = Math.floor(Date.now() / 1000);
  const { name, contextLength } = generator;
  const model = { id: name, object: "model", created, owned_by: "espalier", max_model_len: contextLength };
  const document = openApi(generator, { version, needsKey: apiKey !== undefined });
  const texts = new Texts(generator, { places, metrics, onLog, onFault });
  const app = new Hono<Env>();

  app.use(async (c, next) => {
    c.set("start", performance.now());
    await next();
    metrics.countReply(routeOf(c.req.path), c.res.status);
  });
  if (hosts !== undefined) {
    app.use(async (c, next) => {
      checkHost(c.req.url, hosts);
      await next();
    });
  }
  if (origins.length > 0) {
    app.use(
      cors({
        origin: origins.includes("*") ? "*" : [...origins],
        allowMethods: ["GET", "POST"],
        exposeHeaders: ["retry-after"],
        maxAge: 600,
      }),
    );
  }
  if (apiKey !== undefined) {
    app.use(async (c, next) => {
      if (c.req.path !== "/health") checkKey(c.req.header("authorization"), apiKey);
      await next();
    });
  }

  app.get("/health", (c) =>
    places.closing ? c.json({ status: "shutting down" }, 503) : c.json({ status: "ok" }),
  );
  app.get("/metrics", (c) =>
    c.text(metrics.text({ openTexts: places.open, ...generator.load, ...processMemory() })),
  );
  app.get("/openapi.json", (c) => c.json(document));
  app.get("/v1/models", (c) => c.json({ object: "list", data: [model] }));
  app.get("/v1/models/:model", (c) => {
    if (c.req.param("model") === model.id) return c.json(model);
    throw new ApiError(404, `there is no such model; the one here is "${model.id}"`, {
      param: "model",
      code: "model_not_found",
    });
  });

  const limit = bodyLimit({
    maxSize: maxBodyBytes,
    onError: () => {
      throw new ApiError(413, `the body is larger than ${maxBodyBytes} bytes; shorten it`, {
        code: "body_too_large",
      });
    },
  });
  app.post("/v1/chat/completions", limit, async (c) => {
    const job = chatJob(await bodyOf(c, chatSchema), generator);
    return texts.reply(c.req.raw, job, new ChatReplies(headOf("chatcmpl"), job));
  });
  app.post("/v1/completions", limit, async (c) => {
    const job = completionJob(await bodyOf(c, completionSchema), generator);
    return texts.reply(c.req.raw, job, new CompletionReplies(headOf("cmpl"), job));
  });

  app.all("*", (c) => {
    const { method, path } = c.req;
    const route = routeOf(path);
    if (route === "other")
      throw new ApiError(404, `there is nothing at this path; GET /openapi.json lists the paths`);
    const allowed = route.endsWith("completions") ? "POST" : "GET, HEAD";
    throw new ApiError(405, `${method} is not for ${route}; use ${allowed}`, { headers: { allow: allowed } });
  });
  app.onError((error, c) => {
    const { status, body, headers, code } = texts.explain(error);
    onLog?.({
      route: routeOf(c.req.path),
      status,
      seconds: (performance.now() - c.get("start")) / 1000,
      code,
    });
    return c.json(body, status as ContentfulStatusCode, { ...headers });
  });

  return {
    fetch: async (request) => app.fetch(request),
    close: () => places.close(),
  };

  function headOf(kind: string): Head {
    return {
      id: `${kind}-${crypto.randomUUID()}`,
      created: Math.floor(Date.now() / 1000),
      model: generator.name,
      system_fingerprint: `espalier-${version}`,
    };
  }
}

/** Bytes of the process, of JavaScript's heap in it, and of buffers beside the heap. */
function processMemory() {
  const { rss: residentBytes, heapTotal: heapBytes, arrayBuffers: bufferBytes } = process.memoryUsage();
  return { residentBytes, heapBytes, bufferBytes };
}

/** The body as `schema` wants it. Throws ApiError. */
async function bodyOf<T>(c: Context, schema: z.ZodType<T>): Promise<T> {
  const type = c.req.header("content-type") ?? "";
  // Others may be sent by any web page without asking.
  if (!/^application\/json\s*(;|$)/i.test(type)) {
    throw new ApiError(415, "the body must be JSON; send the header Content-Type: application/json", {
      code: "unsupported_media_type",
    });
  }
  let value: unknown;
  try {
    // null stands for the default, as clients that write all they know have it: also for what is not supported.
    value = JSON.parse(await c.req.text(), (_, entry) => entry ?? undefined);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new ApiError(400, `the body is not JSON: ${error.message.slice(0, 200)}`, { code: "invalid_json" });
  }
  const { data, error } = schema.safeParse(value);
  if (error !== undefined) throw schemaError(error);
  return data as T;
}

/** The route of a path by a name out of few. */
function routeOf(path: string): string {
  if (ROUTES.includes(path)) return path;
  return /^\/v1\/models\/[^/]+$/.test(path) ? "/v1/models/{model}" : "other";
}
