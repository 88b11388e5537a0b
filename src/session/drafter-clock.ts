/**
 * @file Tells the time inside drafters from that around them. Drafters may answer while another one's pass runs: such time counts once.
 * Only generations whose steps are watched pay for it.
 */

import type { Coupling } from "../draft/coupling.ts";
import type { Candidates, Drafter, Outlook, StepOutcome } from "../draft/drafter.ts";
import type { PenaltyForecast } from "../draft/penalties.ts";
import type { Pass } from "../target/target.ts";
import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";

export class DrafterClock {
  /** Calls that have not ended, and since when there is one. */
  #open = 0;
  #since = 0;
  #ms = 0;

  /** The drafters, with their answers and their learning timed. */
  watch(drafters: readonly Drafter[]): Drafter[] {
    return drafters.map((drafter) => new TimedDrafter(drafter, this));
  }

  /** Milliseconds since the last call. */
  take(): number {
    const ms = this.#ms;
    this.#ms = 0;
    return ms;
  }

  time<T>(work: () => T | Promise<T>): T | Promise<T> {
    if (this.#open++ === 0) this.#since = performance.now();
    let result: T | Promise<T> | undefined;
    try {
      result = work();
    } finally {
      if (!(result instanceof Promise)) this.#end();
    }
    return result instanceof Promise ? result.finally(() => this.#end()) : result;
  }

  #end(): void {
    if (--this.#open === 0) this.#ms += performance.now() - this.#since;
  }
}

/** Names all that a drafter can have, so that one that gets more does not lose it here. */
class TimedDrafter implements Required<Omit<Drafter, typeof Symbol.asyncDispose>> {
  readonly #drafter: Drafter;
  readonly #clock: DrafterClock;

  constructor(drafter: Drafter, clock: DrafterClock) {
    this.#drafter = drafter;
    this.#clock = clock;
  }

  get name(): string {
    return this.#drafter.name;
  }
  get rows() {
    return this.#drafter.rows;
  }
  get taps(): readonly number[] {
    return this.#drafter.taps ?? [];
  }
  get off(): string | undefined {
    return this.#drafter.off;
  }
  get mayMiss(): boolean {
    return this.#drafter.mayMiss ?? false;
  }
  get mayRest(): boolean {
    return this.#drafter.mayRest ?? false;
  }
  get ahead() {
    return this.#drafter.ahead;
  }
  get passes(): number {
    return this.#drafter.passes ?? 0;
  }

  names(token: TokenId): boolean {
    return this.#drafter.names?.(token) ?? true;
  }

  async load(): Promise<void> {
    await this.#drafter.load?.();
  }

  resume(tokens: readonly TokenId[], cached: number): number {
    return this.#drafter.resume?.(tokens, cached) ?? tokens.length;
  }

  begin(tokens: readonly TokenId[], signal?: AbortSignal): void | Promise<void> {
    return this.#drafter.begin(tokens, signal);
  }

  observePrompt(tokens: readonly TokenId[], pass: Pass, position: Position): void | Promise<void> {
    return this.#drafter.observePrompt?.(tokens, pass, position);
  }

  couple(coupling: Coupling | undefined, penalties?: PenaltyForecast): void {
    this.#drafter.couple?.(coupling, penalties);
  }

  rest(resting: boolean): void {
    this.#drafter.rest?.(resting);
  }

  expand(
    tree: DraftTree,
    nodes: readonly NodeIndex[],
    width: number,
    outlook?: Outlook,
  ): Candidates[] | Promise<Candidates[]> {
    return this.#clock.time(() => this.#drafter.expand(tree, nodes, width, outlook));
  }

  observe(outcome: StepOutcome): void | Promise<void> {
    return this.#clock.time<void>(() => this.#drafter.observe(outcome));
  }
}
