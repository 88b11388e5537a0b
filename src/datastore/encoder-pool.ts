/** @file Tokenizes parts of documents on several threads; which thread does what changes nothing in the result. */

import { Worker } from "node:worker_threads";
import { EspalierError } from "../errors.ts";
import { DocumentEncoder, type Encoded, type EncoderParts } from "./document-encoder.ts";
import type { Part } from "./documents.ts";
import type { TokenReply, TokenTask } from "./token-worker.ts";

/** Node runs a thread from JavaScript alone: where this file is TypeScript (in tests), from what was built of it. */
const WORKER = new URL(
  import.meta.url.endsWith(".ts") ? "../../dist/datastore/token-worker.js" : "./token-worker.js",
  import.meta.url,
);

interface Waiting {
  resolve(encoded: Encoded): void;
  reject(error: Error): void;
}

interface Thread {
  readonly worker: Worker;
  /** By id. */
  readonly waiting: Map<number, Waiting>;
}

export class EncoderPool implements AsyncDisposable {
  readonly #threads: readonly Thread[];
  readonly #alone: DocumentEncoder | undefined;
  #failure: Error | undefined;
  #tasks = 0;

  /** With one thread, that of the caller. */
  constructor(parts: EncoderParts, threads: number) {
    this.#alone = threads === 1 ? new DocumentEncoder(parts) : undefined;
    this.#threads = this.#alone ? [] : Array.from({ length: threads }, () => this.#start(parts));
  }

  /** Rejects with an EspalierError "bad-documents", or with what ended its thread. */
  async encode(part: Part): Promise<Encoded> {
    if (this.#alone) return this.#alone.encode(part);
    if (this.#failure) throw this.#failure;
    const { worker, waiting } = this.#threads.reduce((a, b) => (b.waiting.size < a.waiting.size ? b : a));
    const id = this.#tasks++;
    return await new Promise((resolve, reject) => {
      waiting.set(id, { resolve, reject });
      worker.postMessage({ id, part } satisfies TokenTask);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#threads.map(({ worker }) => worker.terminate()));
  }

  #start(parts: EncoderParts): Thread {
    const waiting = new Map<number, Waiting>();
    const worker = new Worker(WORKER, { workerData: parts });
    worker.on("message", (reply: TokenReply) => {
      const { resolve, reject } = waiting.get(reply.id)!;
      waiting.delete(reply.id);
      if ("encoded" in reply) resolve(reply.encoded);
      else reject(reply.code ? new EspalierError(reply.code, reply.message) : new Error(reply.message));
    });
    worker.on("error", (error) => {
      this.#failure = error as Error;
      for (const { reject } of waiting.values()) reject(this.#failure);
      waiting.clear();
    });
    return { worker, waiting };
  }
}
