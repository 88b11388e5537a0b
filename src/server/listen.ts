/** @file The server on a port: Node's HTTP server with limits on what a slow or silent client may hold. */

import type { Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { createAdaptorServer } from "@hono/node-server";
import { EspalierError } from "../errors.ts";
import type { App } from "./app.ts";

/** Milliseconds that a client has for the headers of a request, and for all of it. */
const HEADERS_MS = 10_000;
const REQUEST_MS = 60_000;
/** Milliseconds that a connection without a request is kept: longer than clients keep theirs, who would send into a closed one. */
const IDLE_MS = 75_000;
/** How often these are looked at. */
const CHECK_MS = 1_000;
const MOST_HEADER_BYTES = 16 << 10;
const MOST_CONNECTIONS = 1024;
/** How long, when the last text has been written, clients may take to read what they have not. */
const FLUSH_MS = 10_000;
const POLL_MS = 10;

export interface Listening {
  /** Such as `http://127.0.0.1:8080`. */
  readonly url: string;
  /** Takes no more requests; settles when all texts have been written and sent. */
  close(): Promise<void>;
}

export interface ListenOptions {
  readonly host: string;
  /** 0 for any that is free. */
  readonly port: number;
  /** Default 10,000. */
  readonly headersMs?: number;
}

/** Serves `app`. Throws EspalierError "no-address" when the address cannot be had. */
export async function listen(
  app: App,
  { host, port, headersMs = HEADERS_MS }: ListenOptions,
): Promise<Listening> {
  const server = createAdaptorServer({
    fetch: app.fetch,
    serverOptions: {
      headersTimeout: headersMs,
      requestTimeout: REQUEST_MS,
      keepAliveTimeout: IDLE_MS,
      connectionsCheckingInterval: Math.min(CHECK_MS, headersMs),
      maxHeaderSize: MOST_HEADER_BYTES,
    },
  }) as Server;
  server.maxConnections = MOST_CONNECTIONS;
  const open = new Set<ServerResponse>();
  server.on("request", (_, response: ServerResponse) => {
    open.add(response);
    response.once("close", () => open.delete(response));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause: NodeJS.ErrnoException) => reject(noAddress(host, port, cause)));
    server.listen(port, host, resolve);
  });
  const address = server.address() as AddressInfo;
  const name = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${name}:${address.port}`,
    async close() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
      await app.close();
      const end = performance.now() + FLUSH_MS;
      while (open.size > 0 && performance.now() < end) await sleep(POLL_MS);
      // What is left are connections without a request, which would hold the server for as long as their clients like.
      server.closeAllConnections();
      await closed;
    },
  };
}

function noAddress(host: string, port: number, cause: NodeJS.ErrnoException): EspalierError {
  const why: Record<string, string> = {
    EADDRINUSE: "another program has it; give another --port",
    EACCES: "it is not allowed; give a --port above 1023",
    EADDRNOTAVAIL: "this machine has no such address; give another --host",
    ENOTFOUND: "there is no such name; give another --host",
  };
  const reason = why[cause.code ?? ""] ?? cause.message;
  return new EspalierError("no-address", `cannot listen on ${host}, port ${port}: ${reason}`, { cause });
}
