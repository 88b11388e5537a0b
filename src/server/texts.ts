/** @file From a job to its reply: a place is taken, the text is written, counted and sent, and the place is free again. */

import type { GenerateEvent, GenerateStats, StopReason, TextPiece } from "../session/api.ts";
import { ApiError, apiErrorOf } from "./api-error.ts";
import type { Generator } from "./generator.ts";
import type { Metrics } from "./metrics.ts";
import type { OpenTexts } from "./open-texts.ts";
import type { Reply } from "./reply.ts";
import type { Job } from "./request.ts";
import { streamed } from "./stream.ts";

/** What the log may know of a reply. */
export interface LogEntry {
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
  /** Of a refused request: OpenAI's code for why. */
  readonly code?: string | undefined;
  /** Of a text. */
  readonly stats?: GenerateStats;
  readonly stopReason?: StopReason;
}

export interface TextsOptions {
  readonly places: OpenTexts;
  readonly metrics: Metrics;
  readonly onLog: ((entry: LogEntry) => void) | undefined;
  /** Told of errors that are the server's own. */
  readonly onFault: ((error: unknown) => void) | undefined;
}

export class Texts {
  readonly #generator: Generator;
  readonly #options: TextsOptions;

  constructor(generator: Generator, options: TextsOptions) {
    this.#generator = generator;
    this.#options = options;
  }

  /** Writes the text of `job`; it ends when `request` is aborted. What is wrong with the job is thrown. */
  async reply({ signal, url }: Request, job: Job, reply: Reply): Promise<Response> {
    const gone = new AbortController();
    const events = this.#counted(new URL(url).pathname, job, AbortSignal.any([signal, gone.signal]));
    // What is wrong shows before the first event: then there is still a status to say it with.
    const first = await events.next();
    const all = startingWith(first, events);
    if (job.stream) {
      const explain = (error: unknown) => this.explain(error).body;
      return streamed(all, reply, { abort: () => gone.abort(), explain });
    }
    const pieces: TextPiece[] = [];
    for await (const event of all) {
      if (event.type === "end") return Response.json(reply.whole(pieces, event));
      pieces.push(...event.pieces);
    }
    throw new Error("internal: the generation ended without an end event");
  }

  /** What a client is told of an error. */
  explain(error: unknown): ApiError {
    const known = apiErrorOf(error, this.#retryAfter);
    if (known !== undefined) return known;
    this.#options.onFault?.(error);
    return new ApiError(500, "the server failed; its log says why", { code: "internal_error" });
  }

  get #retryAfter(): number {
    return this.#generator.retryAfter ?? 1;
  }

  /** The events of a job, which has a place as long as it runs. */
  async *#counted(
    route: string,
    { request }: Job,
    signal: AbortSignal,
  ): AsyncGenerator<GenerateEvent, void, undefined> {
    const { places, metrics, onLog } = this.#options;
    const leave = places.take(this.#retryAfter);
    const start = performance.now();
    const seconds = () => (performance.now() - start) / 1000;
    let shown = false;
    try {
      for await (const event of this.#generator.generate({ ...request, signal })) {
        if (event.type === "end") {
          const { stats, stopReason } = event;
          metrics.countGeneration(stats, stopReason, seconds());
          onLog?.({ route, status: 200, seconds: seconds(), stats, stopReason });
        } else if (!shown) {
          shown = true;
          metrics.countFirstToken(seconds());
        }
        yield event;
      }
    } finally {
      leave();
    }
  }
}

async function* startingWith<T>(
  first: IteratorResult<T, void>,
  rest: AsyncGenerator<T, void, undefined>,
): AsyncGenerator<T, void, undefined> {
  // Whoever stops at the first event has to end the rest as well.
  try {
    if (first.done) return;
    yield first.value;
    yield* rest;
  } finally {
    await rest.return();
  }
}
