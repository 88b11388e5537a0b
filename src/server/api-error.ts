/** @file Errors in OpenAI's shape: a status, and a message that says what to change. */

import type { z } from "zod";
import { EspalierError, type EspalierErrorCode } from "../errors.ts";

export interface ErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: string;
    /** The parameter that is wrong. */
    readonly param: string | null;
    readonly code: string | null;
  };
}

interface Details {
  readonly param?: string | undefined;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly param: string | undefined;
  readonly code: string | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(status: number, message: string, { param, code, headers = {} }: Details = {}) {
    super(message);
    this.status = status;
    this.param = param;
    this.code = code;
    this.headers = headers;
  }

  get body(): ErrorBody {
    const { message, param = null, code = null } = this;
    return { error: { message, type: typeOf(this.status), param, code } };
  }
}

function typeOf(status: number): string {
  if (status === 429) return "rate_limit_error";
  return status < 500 ? "invalid_request_error" : "server_error";
}

/** Statuses of failures that a request can run into. */
const STATUS: { readonly [code in EspalierErrorCode]?: number } = {
  "context-overflow": 400,
  "missing-chat-template": 400,
  "bad-chat-template": 400,
  "out-of-memory": 503,
  overloaded: 429,
};

/** What a failed generation is to the client; undefined for what only the server's log should see. */
export function apiErrorOf(error: unknown, retryAfter: number): ApiError | undefined {
  if (error instanceof ApiError) return error;
  // What the schema lets through and the model does not: a token beyond the vocabulary, the name of a method.
  if (error instanceof RangeError) return new ApiError(400, error.message, { code: "invalid_value" });
  if (!(error instanceof EspalierError)) return undefined;
  const status = STATUS[error.code];
  if (status === undefined) return undefined;
  const code =
    error.code === "context-overflow" ? "context_length_exceeded" : error.code.replaceAll("-", "_");
  return new ApiError(status, error.message, {
    code,
    headers: status === 429 || status === 503 ? { "retry-after": String(retryAfter) } : {},
  });
}

/** The first thing that is wrong with a body. */
export function schemaError({ issues }: z.ZodError): ApiError {
  const issue = issues[0]!;
  const param = pathOf(issue.path);
  if (issue.code === "unrecognized_keys") {
    const name = pathOf([...issue.path, issue.keys[0]!]);
    return new ApiError(400, `${shortened(name)} is not supported; leave it out`, {
      param: name,
      code: "unsupported_parameter",
    });
  }
  const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  const what = param === "" ? "the body" : param;
  const message = missing ? `${what} is missing` : `${what}: ${issue.message}`;
  return new ApiError(400, message, {
    param: param === "" ? undefined : param,
    code: missing ? "missing_required_parameter" : "invalid_value",
  });
}

/** `messages[0].content` */
function pathOf(path: readonly PropertyKey[]): string {
  return path.reduce<string>(
    (text, key) => (typeof key === "number" ? `${text}[${key}]` : `${text}${text && "."}${String(key)}`),
    "",
  );
}

function shortened(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
