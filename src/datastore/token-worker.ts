/** @file A thread that tokenizes: answers every {@link TokenTask} with a {@link TokenReply}. */

import { parentPort, workerData } from "node:worker_threads";
import { EspalierError, type EspalierErrorCode } from "../errors.ts";
import { DocumentEncoder, type Encoded, type EncoderParts } from "./document-encoder.ts";
import type { Part } from "./documents.ts";

export interface TokenTask {
  readonly id: number;
  readonly part: Part;
}

export type TokenReply =
  | { readonly id: number; readonly encoded: Encoded }
  /** The code of an EspalierError. */
  | { readonly id: number; readonly message: string; readonly code: EspalierErrorCode | undefined };

const encoder = new DocumentEncoder(workerData as EncoderParts);

parentPort!.on("message", ({ id, part }: TokenTask) => {
  try {
    const encoded = encoder.encode(part);
    parentPort!.postMessage({ id, encoded } satisfies TokenReply, [encoded.tokens.buffer]);
  } catch (error) {
    const code = error instanceof EspalierError ? error.code : undefined;
    const message = error instanceof Error ? error.message : String(error);
    parentPort!.postMessage({ id, message, code } satisfies TokenReply);
  }
});
