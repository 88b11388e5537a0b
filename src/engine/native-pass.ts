/** @file The rows of a pass, in arrays that the engine fills. */

import type { SpareMemory } from "../target/spare-memory.ts";
import type { OwnWant, Pass, Penalised, Want } from "../target/target.ts";
import type { NodeIndex } from "../types.ts";

/** Where the rows of one pass lie. */
export class RowMemory {
  readonly #spare: SpareMemory | undefined;
  readonly #taken: ArrayBuffer[] = [];

  /** Without memory that is used again, rows stay as they are. */
  constructor(spare?: SpareMemory) {
    this.#spare = spare;
  }

  ints(length: number): Int32Array {
    return new Int32Array(this.#take(length), 0, length);
  }

  floats(length: number): Float32Array {
    return new Float32Array(this.#take(length), 0, length);
  }

  /** Nobody reads them any more. */
  free(): void {
    for (let buffer = this.#taken.pop(); buffer; buffer = this.#taken.pop()) this.#spare?.give(buffer);
  }

  #take(length: number): ArrayBuffer {
    if (!this.#spare || length === 0) return new ArrayBuffer(4 * length);
    const buffer = this.#spare.take(4 * length);
    this.#taken.push(buffer);
    return buffer;
  }
}

/** What the rows of a pass need to know of its target. */
export interface RowSizes {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly layers: number;
}

/** Arrays of `rows` rows, shared by all trees of a request. */
export class Rows {
  readonly k: number;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly count: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly picks: Int32Array | undefined;
  /** Of the text that wants most; 0: none has penalties. */
  readonly penalisedK: number;
  readonly penalisedTokens: Int32Array | undefined;
  readonly penalisedLogits: Float32Array | undefined;
  readonly logits: Float32Array | undefined;
  readonly taps: Int32Array | undefined;
  readonly hidden: Float32Array | undefined;

  readonly #memory: RowMemory;
  /** Texts that have not read them to the end. */
  #readers: number;

  /** For texts that pick as `readers` say, by default one as `want` does; without `spare`, they stay as they are. */
  constructor(
    sizes: RowSizes,
    count: number,
    want: Want,
    spare?: SpareMemory,
    readers: readonly OwnWant[] = [want],
  ) {
    const { topK, logits = false, taps = [] } = want;
    if (!Number.isInteger(topK) || topK < 0 || topK > Math.min(256, sizes.vocabSize)) {
      throw new RangeError(`topK is ${topK}; give an integer from 0 to ${Math.min(256, sizes.vocabSize)}`);
    }
    for (const tap of taps) {
      if (!Number.isInteger(tap) || tap < 0 || tap > sizes.layers) {
        throw new RangeError(`tap is ${tap}; give an integer from 0 to ${sizes.layers}`);
      }
    }
    const listed = Math.max(0, ...readers.map(({ penalties }) => penalties?.listed ?? 0));
    if (!Number.isInteger(listed) || listed > 256) {
      throw new RangeError(`${listed} tokens after penalties; give an integer from 1 to 256`);
    }
    const most = Math.min(listed, sizes.vocabSize);
    this.k = topK;
    this.penalisedK = most;
    this.count = count;
    this.vocabSize = sizes.vocabSize;
    this.hiddenSize = sizes.hiddenSize;
    const memory = new RowMemory(spare);
    this.#memory = memory;
    this.#readers = readers.length;
    this.tokens = memory.ints(count * topK);
    this.logProbs = memory.floats(count * topK);
    if (readers.some(({ pick }) => pick !== undefined)) this.picks = memory.ints(count);
    if (most > 0) {
      this.penalisedTokens = memory.ints(count * most);
      this.penalisedLogits = memory.floats(count * most);
    }
    if (logits) this.logits = memory.floats(count * sizes.vocabSize);
    if (taps.length > 0) {
      this.taps = Int32Array.from(taps);
      this.hidden = memory.floats(taps.length * count * sizes.hiddenSize);
    }
  }

  /** One of the texts needs them no more. */
  release(): void {
    if (--this.#readers === 0) this.#memory.free();
  }
}

const NO_PICKS = new Int32Array(0);

/** The rows of one tree: `size` of them from row `first` on. */
export class NativePass implements Pass {
  readonly size: number;
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly picks: Int32Array;
  readonly penalised: Penalised | undefined;
  readonly #rows: Rows;
  readonly #first: number;

  constructor(rows: Rows, first: number, size: number) {
    this.size = size;
    this.k = rows.k;
    const all = size === rows.count;
    this.tokens = all ? rows.tokens : rows.tokens.subarray(first * rows.k, (first + size) * rows.k);
    this.logProbs = all ? rows.logProbs : rows.logProbs.subarray(first * rows.k, (first + size) * rows.k);
    this.picks = rows.picks?.subarray(first, first + size) ?? NO_PICKS;
    const { penalisedK: k, penalisedTokens, penalisedLogits } = rows;
    if (penalisedTokens && penalisedLogits) {
      const [from, to] = [first * k, (first + size) * k];
      this.penalised = {
        k,
        tokens: penalisedTokens.subarray(from, to),
        logits: penalisedLogits.subarray(from, to),
      };
    }
    this.#rows = rows;
    this.#first = first;
  }

  logits(node: NodeIndex): Float32Array {
    const { logits, vocabSize } = this.#rows;
    if (!logits) throw new RangeError("this pass did not ask for logits");
    const row = this.#row(node);
    return logits.subarray(row * vocabSize, (row + 1) * vocabSize);
  }

  hidden(node: NodeIndex, tap: number): Float32Array {
    const { hidden, taps, hiddenSize, count } = this.#rows;
    const at = taps?.indexOf(tap) ?? -1;
    if (!hidden || at < 0) throw new RangeError(`this pass did not ask for tap ${tap}`);
    const start = (at * count + this.#row(node)) * hiddenSize;
    return hidden.subarray(start, start + hiddenSize);
  }

  #row(node: NodeIndex): number {
    if (node >= 0 && node < this.size) return this.#first + node;
    throw new RangeError(`node ${node} is not a row of this pass of ${this.size}`);
  }
}
