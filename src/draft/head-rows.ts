/**
 * @file The rows of a text in a draft head's cache, and the features of those that are not there yet. Row i has the target's feature of
 * position i, so what the target has read has rows, but for those that wait for a token behind it.
 */

import type { DraftHead, HeadSequence } from "../target/draft-head.ts";
import type { Pass } from "../target/target.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { pickedAt, type StepOutcome } from "./drafter.ts";

/** New rows beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 16;
/** Rows that wait at most while nobody asks: the more at once, the cheaper. */
const WAITING = 64;

export class HeadRows {
  readonly #head: DraftHead;
  readonly #contextLength: number;
  readonly #shift: number;
  #sequence: HeadSequence | undefined;
  /** All of the text, root included. */
  #text: TokenId[] = [];
  /** Of the positions whose row is not in the sequence yet, from the first on. */
  #features: Float32Array[] = [];

  /** Row i holds token i + `shift`. `contextLength`: the longest text, in tokens. */
  constructor(head: DraftHead, contextLength: number, shift: 0 | 1) {
    this.#head = head;
    this.#contextLength = contextLength;
    this.#shift = shift;
  }

  /** There from the first {@link resume} on. */
  get sequence(): HeadSequence {
    return this.#sequence!;
  }

  get text(): readonly TokenId[] {
    return this.#text;
  }

  get features(): readonly Float32Array[] {
    return this.#features;
  }

  /** Goes to the text `tokens`; gives of how many positions the features need not come again. */
  resume(tokens: readonly TokenId[]): number {
    this.#sequence ??= this.#head.createSequence({ capacity: this.#contextLength });
    const sequence = this.#sequence;
    sequence.rollback();
    let same = 0;
    while (same < this.#text.length && this.#text[same] === tokens[same]) same++;
    this.#text = [...tokens];
    // The root's row runs in the step that asks for its candidates.
    const rows = Math.max(0, Math.min(same, tokens.length - 1) - this.#shift);
    if (rows < sequence.length) {
      sequence.truncate(rows);
      this.#features.length = 0;
    } else {
      const known = Math.min(same, tokens.length - 1) - sequence.length;
      if (known < this.#features.length) this.#features.length = Math.max(0, known);
    }
    return this.#known;
  }

  async observePrompt(pass: Pass, position: Position): Promise<void> {
    for (let row = this.#known - position; row < pass.size; row++) this.#keep(pass, row);
    if (this.#features.length > WAITING) await this.catchUp();
  }

  /** The tokens of the next `rows` rows. */
  tokens(rows: number): TokenId[] {
    const first = this.sequence.length + this.#shift;
    return this.#text.slice(first, first + rows);
  }

  /** Commits pending rows, those of all features that wait among them. */
  commit(path: readonly NodeIndex[]): void {
    this.sequence.commit(path);
    this.#features.length = 0;
  }

  /** The text goes on as a step did; of the path's nodes the first `done` have their rows. */
  async observe(outcome: StepOutcome, done: number): Promise<void> {
    for (const [i, node] of outcome.path.entries()) {
      if (i >= done) this.#keep(outcome.pass, node);
      this.#text.push(pickedAt(outcome, i));
    }
    if (this.#features.length > WAITING) await this.catchUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sequence?.[Symbol.asyncDispose]();
  }

  /** Positions whose features need not come again. */
  get #known(): number {
    return this.sequence.length + this.#features.length;
  }

  /** Keeps the feature of the next position. */
  #keep(pass: Pass, row: NodeIndex): void {
    const { taps, featureSize, hiddenSize } = this.#head;
    const feature = new Float32Array(featureSize);
    for (const [i, tap] of taps.entries()) feature.set(pass.hidden(row, tap), i * hiddenSize);
    this.#features.push(feature);
  }

  /** Reads the new rows but for the last when they have become many, so that a question about the last finds room. */
  async catchUp(): Promise<void> {
    if (this.#features.length <= CATCH_UP) return;
    const features = this.#features;
    const last = features.pop()!;
    // Should reading fail, their positions are not known any more.
    this.#features = [];
    await this.sequence.read(Int32Array.from(this.tokens(features.length)), joined(features));
    this.#features = [last];
  }
}

/** Rows one after another. */
export function joined(rows: readonly Float32Array[]): Float32Array {
  const size = rows[0]!.length;
  const all = new Float32Array(rows.length * size);
  for (const [i, row] of rows.entries()) all.set(row, i * size);
  return all;
}
