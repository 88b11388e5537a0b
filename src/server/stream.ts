/** @file Chunks as server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), `[DONE]` last. */

import type { GenerateEvent } from "../session/api.ts";
import type { Reply } from "./reply.ts";

/** A client that leaves more than this unread is taken for gone. */
const MOST_UNREAD_BYTES = 4 << 20;

const HEADERS = {
  "content-type": "text/event-stream",
  "cache-control": "no-cache",
  // For nginx, which would collect the stream before it passes it on.
  "x-accel-buffering": "no",
};

export interface StreamOptions {
  /** Ends the generation. */
  readonly abort: () => void;
  /** What the client is told of an error in the middle of the text. */
  readonly explain: (error: unknown) => object;
}

/**
 * Sends what `events` say as they come. The text is written at its own pace, not at the client's, so that a slow client keeps no place
 * from others.
 */
export function streamed(
  events: AsyncIterable<GenerateEvent>,
  reply: Reply,
  { abort, explain }: StreamOptions,
): Response {
  const encoder = new TextEncoder();
  let open = true;
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        void pump(controller);
      },
      cancel() {
        open = false;
        abort();
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: MOST_UNREAD_BYTES }),
  );
  return new Response(body, { headers: HEADERS });

  async function pump(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    const send = (data: string) => {
      if (!open) return;
      controller.enqueue(encoder.encode(`data: ${data}\n\n`));
      if (controller.desiredSize! > 0) return;
      open = false;
      controller.error(new Error("the client does not read"));
      abort();
    };
    try {
      for (const chunk of reply.first()) send(JSON.stringify(chunk));
      for await (const event of events) {
        const chunks = event.type === "text" ? [reply.text(event)] : reply.last(event);
        for (const chunk of chunks) send(JSON.stringify(chunk));
      }
      send("[DONE]");
    } catch (error) {
      send(JSON.stringify(explain(error)));
    }
    if (open) controller.close();
  }
}
