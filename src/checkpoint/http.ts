/**
 * @file Requests to a model hub: through the proxies of the environment, with time limits, with redirects that never carry
 * the token to another host, and again after failures that may pass.
 */

import { STATUS_CODES } from "node:http";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import type { Dispatcher } from "undici";
import { EspalierError } from "../errors.ts";
import { printable } from "./hub-name.ts";
import type { Environment } from "./model-cache.ts";

export interface HttpOptions {
  /** HTTPS_PROXY, HTTP_PROXY and NO_PROXY, also in lower case. */
  readonly env: Environment;
  readonly signal?: AbortSignal | undefined;
  /** Sent to this origin and to no other. */
  readonly token?: { readonly origin: string; readonly value: string } | undefined;
  /** Longest wait for the next byte, in ms. */
  readonly idleMs?: number | undefined;
  /** The first wait before a request is made again, in ms; it doubles each time. */
  readonly retryMs?: number | undefined;
  /** Called with the reason when a request failed and will be made again. */
  readonly onRetry?: ((reason: string) => void) | undefined;
}

export interface HttpRequest {
  readonly method?: "GET" | "HEAD";
  readonly headers?: Readonly<Record<string, string>>;
  /** Redirects are followed until this holds. */
  readonly enough?: (response: HttpResponse) => boolean;
}

export interface HttpResponse {
  readonly status: number;
  /** Where it came from, after redirects. */
  readonly url: string;
  header(name: string): string | undefined;
  /** To be read to its end or destroyed. */
  readonly body: Readable;
}

/** An answer that says no. */
export class StatusError extends Error {
  readonly status: number;
  readonly url: string;
  /** The hub's own word for it, such as "GatedRepo". */
  readonly hubCode: string | undefined;
  /** How long the server wants to be left alone, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor({ status, url, header }: HttpResponse) {
    const why = header("x-error-message") ?? STATUS_CODES[status] ?? "";
    super(`${new URL(url).host} answered ${status} ${printable(why)}`.trimEnd());
    this.status = status;
    this.url = url;
    this.hubCode = header("x-error-code");
    this.retryAfterMs = retryAfter(header("retry-after"));
  }
}

const MAX_REDIRECTS = 10;
const MAX_TRIES = 5;
/** A server that wants a longer pause is not waited for. */
const MAX_WAIT_MS = 60_000;
const CONNECT_MS = 10_000;
const IDLE_MS = 30_000;
const RETRY_MS = 1000;
const PASSING_STATUS = [408, 429, 500, 502, 503, 504];
/** Connections that were there and broke, or hosts that are slow. */
const PASSING =
  /^(ECONNRESET|ECONNABORTED|EPIPE|ETIMEDOUT|UND_ERR_SOCKET|UND_ERR_\w+_TIMEOUT|UND_ERR_RES_CONTENT_LENGTH_MISMATCH)$/;
/** Also says that there is no network or no such host, which only passes when it was there a moment ago. */
const NO_NETWORK = /^(ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ENETDOWN)$/;

export class HttpClient implements AsyncDisposable {
  readonly signal: AbortSignal | undefined;
  readonly #options: HttpOptions;
  readonly #request: typeof import("undici").request;
  readonly #dispatcher: Dispatcher;

  /** Throws EspalierError "download-failed" for a proxy that is no address. */
  static async open(options: HttpOptions): Promise<HttpClient> {
    // Loaded here since most runs need no network.
    const { EnvHttpProxyAgent, request } = await import("undici");
    const { env, idleMs = IDLE_MS } = options;
    const dispatcher = new EnvHttpProxyAgent({
      httpProxy: proxy(env, "HTTP_PROXY"),
      httpsProxy: proxy(env, "HTTPS_PROXY"),
      noProxy: variable(env, "NO_PROXY"),
      proxyTunnel: false,
      connect: { timeout: CONNECT_MS },
      headersTimeout: idleMs,
      bodyTimeout: idleMs,
    });
    return new HttpClient(options, request, dispatcher);
  }

  private constructor(
    options: HttpOptions,
    request: typeof import("undici").request,
    dispatcher: Dispatcher,
  ) {
    this.signal = options.signal;
    this.#options = options;
    this.#request = request;
    this.#dispatcher = dispatcher;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#dispatcher.destroy();
  }

  /** One request, once. Throws {@link StatusError}, or what the connection met with; an abort throws the signal's reason. */
  async send(url: string, { method = "GET", headers = {}, enough }: HttpRequest = {}): Promise<HttpResponse> {
    let address = new URL(url);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#once(address, method, headers);
      const location = response.status >= 300 && response.status < 400 && response.header("location");
      if (response.status < 400 && (!location || enough?.(response))) return response;
      response.body.destroy();
      if (!location) throw new StatusError(response);
      address = redirected(address, location);
    }
    throw new Error(`${new URL(url).host} redirects more than ${MAX_REDIRECTS} times`);
  }

  /**
   * Runs `attempt` again after failures that may pass, with growing pauses, until it failed five times in a row; `moved` tells
   * whether the last attempt got somewhere, which ends such a row.
   */
  async retrying<T>(attempt: () => Promise<T>, moved: () => boolean = () => false): Promise<T> {
    const { retryMs = RETRY_MS, onRetry, signal } = this.#options;
    for (let failures = 0, worked = false; ; ) {
      try {
        return await attempt();
      } catch (error) {
        signal?.throwIfAborted();
        failures = moved() ? 0 : failures + 1;
        worked ||= moved();
        const wait = waitAfter(error, retryMs * 2 ** Math.max(0, failures - 1));
        if (!passes(error, worked) || failures >= MAX_TRIES || wait > MAX_WAIT_MS) throw error;
        onRetry?.(reasonOf(error));
        await sleep(wait, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  }

  async #once(
    address: URL,
    method: "GET" | "HEAD",
    headers: Readonly<Record<string, string>>,
  ): Promise<HttpResponse> {
    const { token, signal } = this.#options;
    try {
      const {
        statusCode,
        headers: found,
        body,
      } = await this.#request(address, {
        method,
        dispatcher: this.#dispatcher,
        signal: signal ?? null,
        headers: {
          "user-agent": `espalier (node ${process.version})`,
          "accept-encoding": "identity",
          ...headers,
          ...(token?.origin === address.origin && { authorization: `Bearer ${token.value}` }),
        },
      });
      // Whoever reads the body gets its errors; a body that is left unread has none that matter.
      body.on("error", () => {});
      return {
        status: statusCode,
        url: address.href,
        header: (name) => [found[name]].flat()[0],
        body,
      };
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }
}

/** What went wrong, down to the cause that says it. */
export function reasonOf(error: unknown): string {
  const reasons: string[] = [];
  for (let at = error; at instanceof Error && reasons.length < 3; at = at.cause) {
    const { code } = at as NodeJS.ErrnoException;
    // Attempts at several addresses of a host fail as one error without a text.
    if (at.message !== "" || code !== undefined) reasons.push(at.message || code!);
  }
  return printable(reasons.join(": "));
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (
    to === undefined ||
    !["https:", "http:"].includes(to.protocol) ||
    (from.protocol === "https:" && to.protocol === "http:")
  ) {
    throw new Error(`${from.host} redirects to ${printable(location)}, where nothing is fetched from`);
  }
  return to;
}

function passes(error: unknown, worked: boolean): boolean {
  if (error instanceof StatusError) return PASSING_STATUS.includes(error.status);
  const { code = "" } = error as NodeJS.ErrnoException;
  return PASSING.test(code) || (worked && NO_NETWORK.test(code));
}

function waitAfter(error: unknown, usual: number): number {
  const asked = error instanceof StatusError ? error.retryAfterMs : undefined;
  // Many clients that were dropped at once should not come back at once.
  return asked ?? usual * (1 + Math.random() / 4);
}

/** Seconds or a date, as of RFC 9110. */
function retryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

function variable(env: Environment, name: string): string {
  return env[name.toLowerCase()] ?? env[name] ?? "";
}

function proxy(env: Environment, name: string): string {
  const value = variable(env, name);
  if (value === "") return "";
  const address = value.includes("://") ? value : `http://${value}`;
  if (URL.canParse(address) && /^https?:$/.test(new URL(address).protocol)) return address;
  // The address itself may have a password in it.
  throw new EspalierError(
    "download-failed",
    `${name} is not the address of an HTTP proxy; give one such as http://proxy.example:3128`,
  );
}
