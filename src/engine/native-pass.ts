/** @file The rows of a pass, in arrays that the engine fills. */

import type { Pass, Want } from "../target/target.ts";
import type { NodeIndex } from "../types.ts";

/** For `length` numbers, that of `known` if it is enough; not cleared first, because the engine writes all of it. */
function memory(length: number, known: Int32Array | Float32Array | undefined): ArrayBuffer {
  if (known && known.buffer.byteLength >= 4 * length) return known.buffer as ArrayBuffer;
  return Buffer.allocUnsafeSlow(4 * length).buffer as ArrayBuffer;
}

/** What the rows of a sequence's passes lie in, one pass after another, so that steps leave no large arrays to collect. */
export class RowMemory {
  /** By name, the latest array in the memory of that name. */
  readonly #ints = new Map<string, Int32Array>();
  readonly #floats = new Map<string, Float32Array>();

  ints(name: string, length: number): Int32Array {
    const known = this.#ints.get(name);
    if (known?.length === length) return known;
    const array = new Int32Array(memory(length, known), 0, length);
    this.#ints.set(name, array);
    return array;
  }

  floats(name: string, length: number): Float32Array {
    const known = this.#floats.get(name);
    if (known?.length === length) return known;
    const array = new Float32Array(memory(length, known), 0, length);
    this.#floats.set(name, array);
    return array;
  }

  /** Keeps no memory while no pass needs it. */
  free(): void {
    this.#ints.clear();
    this.#floats.clear();
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
  readonly logits: Float32Array | undefined;
  readonly taps: Int32Array | undefined;
  readonly hidden: Float32Array | undefined;

  /** Without `memory` of a sequence, what earlier passes gave stays as it is. */
  constructor(sizes: RowSizes, count: number, want: Want, memory = new RowMemory()) {
    const { topK, logits = false, taps = [] } = want;
    if (!Number.isInteger(topK) || topK < 0 || topK > Math.min(256, sizes.vocabSize)) {
      throw new RangeError(`topK is ${topK}; give an integer from 0 to ${Math.min(256, sizes.vocabSize)}`);
    }
    for (const tap of taps) {
      if (!Number.isInteger(tap) || tap < 0 || tap > sizes.layers) {
        throw new RangeError(`tap is ${tap}; give an integer from 0 to ${sizes.layers}`);
      }
    }
    this.k = topK;
    this.count = count;
    this.vocabSize = sizes.vocabSize;
    this.hiddenSize = sizes.hiddenSize;
    this.tokens = memory.ints("tokens", count * topK);
    this.logProbs = memory.floats("logProbs", count * topK);
    if (logits) this.logits = memory.floats("logits", count * sizes.vocabSize);
    if (taps.length > 0) {
      this.taps = Int32Array.from(taps);
      this.hidden = memory.floats("hidden", taps.length * count * sizes.hiddenSize);
    }
  }
}

/** The rows of one tree: `size` of them from row `first` on. */
export class NativePass implements Pass {
  readonly size: number;
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly #rows: Rows;
  readonly #first: number;

  constructor(rows: Rows, first: number, size: number) {
    this.size = size;
    this.k = rows.k;
    const all = size === rows.count;
    this.tokens = all ? rows.tokens : rows.tokens.subarray(first * rows.k, (first + size) * rows.k);
    this.logProbs = all ? rows.logProbs : rows.logProbs.subarray(first * rows.k, (first + size) * rows.k);
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
