/**
 * @file The rows of a text in a draft head's cache, and the features of those that are not there yet. Row i has the target's feature of
 * position i, so what the target has read has rows, but for those that wait for a token behind it. A head that nobody asks for long forgets how
 * the text began, and one that comes to a text late does without: reading it takes longer than it helps.
 */

import type { DraftHead, HeadSequence } from "../target/draft-head.ts";
import { SpareFloats } from "../target/spare-memory.ts";
import type { Pass } from "../target/target.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { pickedAt, type StepOutcome } from "./drafter.ts";

/** New rows beyond this are read in passes of their own, so that nodes find room in the step's. */
const CATCH_UP = 16;
/** Rows that wait at most while nobody asks: the more at once, the cheaper, up to what one pass takes. */
const WAITING = 128;
/** Rows that wait at most while the head rests, and how many are kept then. */
const RESTING = 256;
const KEPT = 128;
/** Rows that memory is first taken for. */
const FIRST = 32;

export class HeadRows {
  readonly #head: DraftHead;
  readonly #contextLength: number;
  readonly #shift: number;
  #sequence: HeadSequence | undefined;
  /** All of the text, root included. */
  readonly #text: TokenId[] = [];
  /**
   * Of the positions whose row is not in the sequence yet, from the first on: featureSize values each. One array for all, because JavaScript collects
   * its garbage more often the more of it lies in arrays of their own.
   */
  readonly #features: SpareFloats;
  #waiting = 0;
  /** Positions at the beginning of the text that are forgotten. The sequence's first row is that of the next one. */
  #forgotten = 0;
  /** Whether nobody is about to ask. */
  resting = false;

  /** Row i holds token i + `shift`. `contextLength`: the longest text, in tokens. */
  constructor(head: DraftHead, contextLength: number, shift: 0 | 1) {
    this.#head = head;
    this.#contextLength = contextLength;
    this.#shift = shift;
    this.#features = new SpareFloats(head.spare);
  }

  /** There from the first {@link resume} on. */
  get sequence(): HeadSequence {
    return this.#sequence!;
  }

  get text(): readonly TokenId[] {
    return this.#text;
  }

  /** Positions whose row is not in the sequence yet. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Their features, and `more` behind them. Valid until one is added or read. */
  features(more?: Float32Array): Float32Array {
    const size = this.#waiting * this.#head.featureSize;
    if (more) {
      this.#makeRoom(this.#waiting);
      this.#features.values.set(more, size);
    }
    return this.#features.values.subarray(0, size + (more?.length ?? 0));
  }

  /**
   * Goes to the text `tokens`, of which the target has the first `cached`; gives of how many positions the features need not come again. Where it
   * lacks many that the target has, it does without them: reading them for the head alone would take as long as the whole prompt.
   */
  resume(tokens: readonly TokenId[], cached = 0): number {
    this.#sequence ??= this.#head.createSequence({ capacity: this.#contextLength });
    const sequence = this.#sequence;
    sequence.rollback();
    let same = 0;
    while (same < this.#text.length && this.#text[same] === tokens[same]) same++;
    this.#text.length = same;
    for (let at = same; at < tokens.length; at++) this.#text.push(tokens[at]!);
    same = Math.min(same, tokens.length - 1);
    // The root's row runs in the step that asks for its candidates.
    const rows = Math.max(0, same - this.#shift) - this.#forgotten;
    if (rows < 0) {
      // Nothing of what is the same is remembered.
      this.#forgotten = Math.max(0, same - this.#shift);
      sequence.truncate(0);
      this.#waiting = 0;
    } else if (rows < sequence.length) {
      sequence.truncate(rows);
      this.#waiting = 0;
    } else {
      const known = same - this.#forgotten - sequence.length;
      this.#waiting = Math.max(0, Math.min(this.#waiting, known));
    }
    if (cached - this.#known > KEPT) {
      sequence.truncate(0);
      this.#waiting = 0;
      this.#forgotten = cached;
    }
    return this.#known;
  }

  async observePrompt(pass: Pass, position: Position): Promise<void> {
    for (let row = this.#known - position; row < pass.size; row++)
      if (this.#keep(pass, row)) await this.catchUp();
  }

  /** Where in the text the token of the next row stands. */
  get next(): Position {
    return this.#forgotten + this.sequence.length + this.#shift;
  }

  /** Positions of the text before that of the sequence's first row. */
  get ahead(): Position {
    return this.#forgotten + this.#shift;
  }

  /** Commits pending rows, those of all features that wait among them. */
  commit(path: readonly NodeIndex[]): void {
    this.sequence.commit(path);
    this.#waiting = 0;
  }

  /** The text goes on as a step did; of the path's nodes the first `done` have their rows. */
  async observe(outcome: StepOutcome, done: number): Promise<void> {
    const { path, pass } = outcome;
    for (let i = 0; i < path.length; i++) this.#text.push(pickedAt(outcome, i));
    for (let i = done; i < path.length; i++) if (this.#keep(pass, path[i]!)) await this.catchUp();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sequence?.[Symbol.asyncDispose]();
    this.#features.free();
    this.#waiting = 0;
  }

  /** Positions whose features need not come again. */
  get #known(): number {
    return this.#forgotten + this.sequence.length + this.#waiting;
  }

  /** Keeps the feature of the next position; says whether so many wait that they should be read. */
  #keep(pass: Pass, row: NodeIndex): boolean {
    const { taps, hiddenSize, featureSize } = this.#head;
    const at = this.#waiting++;
    this.#makeRoom(at);
    for (let i = 0; i < taps.length; i++)
      this.#features.values.set(pass.hidden(row, taps[i]!), at * featureSize + i * hiddenSize);
    if (this.resting) this.#forget();
    return this.#waiting > WAITING && !this.resting;
  }

  /** Leaves the last of the rows that wait, when they have become many. */
  #forget(): void {
    if (this.#waiting <= RESTING) return;
    const size = this.#head.featureSize;
    const dropped = this.#waiting - KEPT;
    this.#forgotten += this.sequence.length + dropped;
    this.sequence.truncate(0);
    this.#features.values.copyWithin(0, dropped * size, this.#waiting * size);
    this.#waiting = KEPT;
  }

  /** For the feature of row `at` of those that wait. */
  #makeRoom(at: number): void {
    const size = this.#head.featureSize;
    this.#features.reserve(Math.max(FIRST, at + 1) * size);
  }

  /** Whether so many rows wait that {@link catchUp} reads them first. */
  get behind(): boolean {
    return this.#waiting > CATCH_UP;
  }

  /** Reads the new rows but for the last when they have become many, so that a question about the last finds room. */
  async catchUp(): Promise<void> {
    if (!this.behind) return;
    const rows = this.#waiting - 1;
    const size = this.#head.featureSize;
    const first = this.next;
    // Should reading fail, their positions are not known any more.
    this.#waiting = 0;
    const tokens = Int32Array.from({ length: rows }, (_, row) => this.#text[first + row]!);
    await this.sequence.read(tokens, this.#features.values.subarray(0, rows * size));
    this.#features.values.copyWithin(0, rows * size, (rows + 1) * size);
    this.#waiting = 1;
  }
}
