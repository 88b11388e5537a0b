/**
 * @file Generations that take turns on the same cores, so that all can be watched at once and none slows another down: a
 * lane stands still while another has the turn, and only its own turns count.
 */

import type { GenerateEvent, TextPiece } from "../session/api.ts";

/** Milliseconds of a turn: short to the eye, and many passes long. */
const TURN_MS = 40;

export type End = Extract<GenerateEvent, { type: "end" }>;

export class Lane {
  readonly title: string;
  readonly #events: AsyncGenerator<GenerateEvent>;
  readonly #pieces: TextPiece[] = [];
  #ms = 0;
  #end: End | undefined;

  constructor(title: string, events: AsyncGenerator<GenerateEvent>) {
    this.title = title;
    this.#events = events;
  }

  /** What was generated so far. */
  get pieces(): readonly TextPiece[] {
    return this.#pieces;
  }

  /** Milliseconds of its own turns, the reading of the prompt included. */
  get ms(): number {
    return this.#ms;
  }

  /** The last event, once the generation is over. */
  get end(): End | undefined {
    return this.#end;
  }

  /** Generates for the length of a turn, and to the end of the step that it falls into. */
  async turn(): Promise<void> {
    const start = performance.now();
    do {
      const { value } = await this.#events.next();
      if (value.type === "text") this.#pieces.push(...value.pieces);
      else this.#end = value;
    } while (this.#end === undefined && performance.now() - start < TURN_MS);
    this.#ms += performance.now() - start;
  }

  /** Frees what the generation holds. */
  async close(): Promise<void> {
    await this.#events.return(undefined);
  }
}

/** Runs all lanes to their ends; the turn is always with the one that has had the least time. `onTurn` is on nobody's clock. */
export async function race(lanes: readonly Lane[], onTurn: () => void): Promise<void> {
  try {
    for (;;) {
      const running = lanes.filter(({ end }) => end === undefined);
      const next = running.toSorted((a, b) => a.ms - b.ms)[0];
      if (next === undefined) return;
      await next.turn();
      onTurn();
    }
  } finally {
    for (const lane of lanes) await lane.close();
  }
}
