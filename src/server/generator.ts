/** @file What the server asks of whoever generates: a model satisfies it, and so does a service that shares passes. */

import type { GenerateEvent, GenerateRequest } from "../session/api.ts";

export interface Generator {
  readonly name: string;
  /** The longest text, prompt included, in tokens. */
  readonly contextLength: number;
  readonly methodNames: readonly string[];
  readonly defaultMethod: string;
  /**
   * "text" events, then one "end". Wrong requests come out of the first `next()`, as does EspalierError "overloaded" when there is no
   * place. When `request.signal` aborts, the stream ends soon with what there is; `return()` ends it at once.
   */
  generate(request: GenerateRequest): AsyncIterable<GenerateEvent>;
  /** Numbers of now, by name, such as `running` and `waiting`. */
  readonly load?: object;
  /** Seconds after which a place is likely to be free. */
  readonly retryAfter?: number;
}
