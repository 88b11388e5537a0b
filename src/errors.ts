/** @file The one error class a caller may want to handle; what a caller did wrong is a RangeError or TypeError instead. */

/** What went wrong, in a word that stays the same between versions. */
export type EspalierErrorCode =
  | "file-not-found"
  | "file-unreadable"
  | "file-unwritable"
  | "not-gguf"
  | "damaged-file"
  | "unsupported-architecture"
  | "unsupported-weight-type"
  | "unsupported-tokenizer"
  | "missing-tokenizer"
  | "missing-chat-template"
  | "bad-chat-template"
  | "missing-tensor"
  | "bad-model"
  | "wrong-head"
  | "other-vocabulary"
  | "context-overflow"
  | "out-of-memory"
  | "overloaded"
  | "no-engine"
  | "no-address"
  | "unsupported"
  | "bad-prompts"
  | "bad-state"
  | "bad-store"
  | "store-changed"
  | "bad-documents"
  | "bad-trace"
  | "too-large"
  | "bad-model-name"
  | "not-downloaded"
  | "no-access"
  | "download-failed"
  | "disk-full";

/** A failure outside the program's control; `code` tells which, `message` names the value and what to do. */
export class EspalierError extends Error {
  override readonly name = "EspalierError";
  readonly code: EspalierErrorCode;

  constructor(code: EspalierErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}
