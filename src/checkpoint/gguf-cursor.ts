/**
 * @file Reads the values of a GGUF header one after another from bytes that may not all be there yet. Nothing is taken
 * from the file on trust: every length is compared with what the file still holds before anything is allocated.
 */

import { EspalierError } from "../errors.ts";

const mostNameLength = 65_535;

/** Thrown when a value ends behind the bytes read so far, though the file is long enough. */
export class MoreBytes extends Error {
  /** Bytes needed, counted from the start of the file. */
  readonly size: number;

  constructor(size: number) {
    super(`internal: ${size} bytes of the header are needed`);
    this.size = size;
  }
}

export class GgufCursor {
  /** Bytes of the file consumed so far. */
  offset = 0;
  #bytes: Buffer;
  readonly path: string;
  readonly fileSize: number;

  constructor(path: string, bytes: Uint8Array, fileSize: number) {
    this.path = path;
    this.#bytes = view(bytes);
    this.fileSize = fileSize;
  }

  /** Replaces the bytes by more of the same file. */
  extend(bytes: Uint8Array): void {
    this.#bytes = view(bytes);
  }

  /** The error for something wrong in what starts at byte `at`. */
  damaged(what: string, problem: string, at = this.offset): EspalierError {
    return new EspalierError("damaged-file", `${this.path}: ${what}, at byte ${at}: ${problem}`);
  }

  u8(what: string): number {
    return this.#bytes.readUInt8(this.#take(1, what));
  }

  u32(what: string): number {
    return this.#bytes.readUInt32LE(this.#take(4, what));
  }

  u64(what: string): bigint {
    return this.#bytes.readBigUInt64LE(this.#take(8, what));
  }

  /** How many things of at least `unit` bytes follow, as a 64-bit number that the rest of the file has room for. */
  count(what: string, unit: number): number {
    const at = this.#take(8, what);
    const value = this.#bytes.readUInt32LE(at) + this.#bytes.readUInt32LE(at + 4) * 0x1_0000_0000;
    const most = Math.floor((this.fileSize - this.offset) / unit);
    if (value > most) {
      throw this.damaged(what, `${value} are announced, but the file has room for ${most} at most`, at);
    }
    return value;
  }

  /** The next `length` bytes; a view that is valid until the cursor is extended. */
  raw(length: number, what: string): Uint8Array {
    const at = this.#take(length, what);
    return this.#bytes.subarray(at, at + length);
  }

  /** A string after its length in bytes. Bytes that are not UTF-8 are refused, so decoding loses nothing. */
  string(what: string): string {
    const length = this.count(what, 1);
    const at = this.#take(length, what);
    const text = this.#bytes.toString("utf8", at, at + length);
    // Decoding turns bad bytes into U+FFFD; one that was meant survives the way back.
    if (text.includes("\ufffd") && !Buffer.from(text).equals(this.#bytes.subarray(at, at + length))) {
      throw this.damaged(what, "not valid UTF-8", at);
    }
    return text;
  }

  /** A string that serves as a name: at most 65,535 characters. */
  name(what: string): string {
    const at = this.offset;
    const name = this.string(what);
    if (name.length > mostNameLength) {
      throw this.damaged(
        what,
        `its name has ${name.length} characters, at most ${mostNameLength} are allowed`,
        at,
      );
    }
    return name;
  }

  #take(length: number, what: string): number {
    const at = this.offset;
    const end = at + length;
    if (end > this.fileSize) {
      throw this.damaged(what, `${length} bytes are needed, but the file ends at byte ${this.fileSize}`);
    }
    if (end > this.#bytes.length) throw new MoreBytes(end);
    this.offset = end;
    return at;
  }
}

/** The same bytes as a Buffer, which the types that users see do not name: they need none of Node's. */
function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
