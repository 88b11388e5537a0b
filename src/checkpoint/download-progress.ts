/** @file What a caller is told of a download. By itself, because public types must not need those of Node. */

/** How far a download has come. */
export interface DownloadProgress {
  /** The model, as it was asked for. */
  readonly name: string;
  /** What has come so far, in an earlier run or in this one. */
  readonly bytes: number;
  /** Undefined when the server does not say. */
  readonly totalBytes: number | undefined;
}
