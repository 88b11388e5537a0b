/**
 * @file A Hugging Face hub for tests, on this machine: the hub itself, which redirects files to a storage of another origin,
 * with the headers and error codes of the real one. What a test wants to go wrong it does in `onHub` and `onStorage`.
 */

import { createHash, randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

/** True when the request has been answered. */
export type Intercept = (request: IncomingMessage, response: ServerResponse) => boolean;

export interface Seen {
  readonly method: string;
  readonly url: string;
  readonly authorization: string | undefined;
  readonly range: string | undefined;
}

/** One repository, `owner/repo`, with a branch `main`. */
export class HubServer implements AsyncDisposable {
  /** Contents by path. */
  readonly files = new Map<string, Buffer>();
  readonly hubRequests: Seen[] = [];
  readonly storageRequests: Seen[] = [];
  commit = COMMIT;
  onHub: Intercept = () => false;
  onStorage: Intercept = () => false;
  readonly #hub: Server;
  readonly #storage: Server;
  readonly folder: string;

  static async start(): Promise<HubServer> {
    const server = new HubServer(await mkdtemp(join(tmpdir(), "espalier-hub-")));
    await Promise.all(
      [server.#hub, server.#storage].map(
        (one) => new Promise<void>((done) => one.listen(0, "127.0.0.1", done)),
      ),
    );
    return server;
  }

  private constructor(folder: string) {
    this.folder = folder;
    this.#hub = createServer((request, response) => {
      this.hubRequests.push(seen(request));
      if (!this.onHub(request, response)) this.#answer(request, response);
    });
    this.#storage = createServer((request, response) => {
      this.storageRequests.push(seen(request));
      if (!this.onStorage(request, response)) this.#send(request, response);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.#hub, this.#storage]) {
      server.closeAllConnections();
      await new Promise((done) => server.close(done));
    }
    await rm(this.folder, { recursive: true });
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#hub.address() as AddressInfo).port}`;
  }

  get storage(): string {
    return `http://127.0.0.1:${(this.#storage.address() as AddressInfo).port}`;
  }

  /** An environment in which this is the hub, with a cache of its own. */
  get env(): Record<string, string> {
    return { HF_ENDPOINT: this.endpoint, HF_HOME: join(this.folder, "hf"), ESPALIER_CACHE: this.folder };
  }

  /** The folder of the repository in the cache. */
  get cache(): string {
    return join(this.folder, "hf", "hub", "models--owner--repo");
  }

  /** Where the cache has, or would have, a file's content. */
  blobOf(path: string): string {
    return join(this.cache, "blobs", sha256(this.files.get(path)!));
  }

  /** A model's file: nothing in it is read but how it begins. */
  add(path: string, bytes = 300_000): Buffer {
    const content = Buffer.concat([Buffer.from("GGUF"), randomBytes(bytes - 4)]);
    this.files.set(path, content);
    return content;
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const { pathname } = new URL(request.url!, this.endpoint);
    const refuse = (status: number, code: string) =>
      response.writeHead(status, { "x-error-code": code }).end();
    const revision = /^\/(?:api\/models\/)?owner\/repo\/(?:resolve|revision)\/([^/]+)/.exec(pathname)?.[1];
    if (pathname === "/api/models/owner/repo/refs") {
      response.end(JSON.stringify({ branches: [{ name: "main" }], tags: [{ name: "v1.0" }] }));
    } else if (pathname === "/api/models") {
      response.end(JSON.stringify([{ id: "owner/repo" }]));
    } else if (revision === undefined) {
      refuse(401, "RepoNotFound");
    } else if (revision !== "main" && revision !== this.commit) {
      refuse(404, "RevisionNotFound");
    } else if (pathname.startsWith("/api/")) {
      const siblings = [...this.files].map(([rfilename, { length }]) => ({ rfilename, size: length }));
      response.end(JSON.stringify({ id: "owner/repo", sha: this.commit, siblings }));
    } else {
      const path = decodeURIComponent(pathname.split("/").slice(5).join("/"));
      const content = this.files.get(path);
      if (content === undefined) refuse(404, "EntryNotFound");
      else
        response
          .writeHead(302, {
            ...describe(content, this.commit),
            location: `${this.storage}/${encodeURIComponent(path)}`,
          })
          .end();
    }
  }

  #send(request: IncomingMessage, response: ServerResponse): void {
    const content = this.files.get(decodeURIComponent(request.url!.slice(1)))!;
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    const range = { "content-range": `bytes ${from}-${content.length - 1}/${content.length}` };
    response.writeHead(from > 0 ? 206 : 200, {
      etag: '"storage"',
      "content-length": content.length - from,
      ...(from > 0 && range),
    });
    response.end(content.subarray(from));
  }
}

/** The hub's headers about a large file. */
export function describe(content: Buffer, commit = COMMIT): Record<string, string> {
  return {
    "x-repo-commit": commit,
    "x-linked-size": `${content.length}`,
    "x-linked-etag": `"${sha256(content)}"`,
  };
}

export function sha256(content: Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

function seen({ method, url, headers }: IncomingMessage): Seen {
  return { method: method!, url: url!, authorization: headers.authorization, range: headers.range };
}
