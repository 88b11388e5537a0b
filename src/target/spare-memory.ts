/**
 * @file Memory of large arrays that goes from text to text and from pass to pass. V8 collects all of its garbage, which takes tens of milliseconds and
 * a core meanwhile, whenever 64 MB of array memory were taken, however short each was of use.
 */

/** Bytes that wait for use at most. */
const MOST = 16 << 20;
const SMALLEST = 4 << 10;

export class SpareMemory {
  /** The oldest first. */
  readonly #spare: ArrayBuffer[] = [];
  #bytes = 0;

  /** At least so many bytes, of any content: a power of two. */
  take(bytes: number): ArrayBuffer {
    const size = Math.max(SMALLEST, 2 ** Math.ceil(Math.log2(bytes)));
    for (let at = this.#spare.length - 1; at >= 0; at--)
      if (this.#spare[at]!.byteLength === size) return this.#remove(at);
    return new ArrayBuffer(size);
  }

  /** Takes back what nobody reads any more. */
  give(buffer: ArrayBuffer): void {
    this.#spare.push(buffer);
    this.#bytes += buffer.byteLength;
    while (this.#bytes > MOST) this.#remove(0);
  }

  #remove(at: number): ArrayBuffer {
    const spare = this.#spare;
    const buffer = spare[at]!;
    this.#bytes -= buffer.byteLength;
    for (let next = at + 1; next < spare.length; next++) spare[next - 1] = spare[next]!;
    spare.pop();
    return buffer;
  }
}

/** Numbers in such memory, of which there may be ever more. */
export class SpareFloats {
  readonly #memory: SpareMemory;
  /** With room for more. */
  values = new Float32Array(0);

  constructor(memory = new SpareMemory()) {
    this.#memory = memory;
  }

  /** Makes room for `length`, and keeps those that are there. */
  reserve(length: number): void {
    const { values } = this;
    if (length <= values.length) return;
    const more = new Float32Array(this.#memory.take(4 * length));
    more.set(values);
    this.free();
    this.values = more;
  }

  /** Gives its memory back. */
  free(): void {
    if (this.values.length > 0) this.#memory.give(this.values.buffer);
    this.values = new Float32Array(0);
  }
}
