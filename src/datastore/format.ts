/**
 * @file The file of a datastore, little-endian: a header of 128 bytes, the tokens of all texts with a border after each, and their suffix array.
 *
 *     0  "ESPSTORE"        12  bytes of a token (2 or 4)    24  documents
 *     8  version           16  vocabulary size              28  CRC-32 of all behind the header
 *                          20  tokens, borders included     32  fingerprint of the vocabulary, 32 bytes
 *     124  CRC-32 of the header before it
 *
 * A border is the token `vocabulary size`. The suffix array begins at the next multiple of 4, 4 bytes for each token.
 */

import { crc32 } from "node:zlib";
import { EspalierError } from "../errors.ts";

export const HEADER_BYTES = 128;
const MAGIC = "ESPSTORE";
const VERSION = 1;
/** Suffixes are sorted as 32-bit integers. */
export const MOST_TOKENS = 2 ** 31 - 2;
/** No vocabulary has more tokens. */
const MOST_VOCAB = 2 ** 24;

export interface StoreHeader {
  /** Hex; see `text/fingerprint.ts`. */
  readonly fingerprint: string;
  readonly vocabSize: number;
  /** Of all texts, with a border after each. */
  readonly count: number;
  readonly documents: number;
  /** CRC-32 of all behind the header. */
  readonly checksum: number;
}

/** Bytes of a token in the file. */
export function tokenWidth(vocabSize: number): 2 | 4 {
  return vocabSize < 2 ** 16 ? 2 : 4;
}

/** Where the suffix array begins, and how long the file is. */
export function placesOf({ vocabSize, count }: Pick<StoreHeader, "vocabSize" | "count">): {
  readonly suffixesAt: number;
  readonly bytes: number;
} {
  const suffixesAt = HEADER_BYTES + Math.ceil((count * tokenWidth(vocabSize)) / 4) * 4;
  return { suffixesAt, bytes: suffixesAt + 4 * count };
}

export function encodeHeader({
  fingerprint,
  vocabSize,
  count,
  documents,
  checksum,
}: StoreHeader): Uint8Array {
  const bytes = Buffer.alloc(HEADER_BYTES);
  bytes.write(MAGIC, "latin1");
  [VERSION, tokenWidth(vocabSize), vocabSize, count, documents, checksum].forEach((value, i) => {
    bytes.writeUInt32LE(value, 8 + 4 * i);
  });
  bytes.write(fingerprint, 32, "hex");
  bytes.writeUInt32LE(crc32(bytes.subarray(0, -4)), HEADER_BYTES - 4);
  return bytes;
}

/** Whether a file that starts so is a datastore, of whatever version. */
export function isStore(start: Uint8Array): boolean {
  return Buffer.from(start.subarray(0, MAGIC.length)).toString("latin1") === MAGIC;
}

/**
 * Reads the first bytes of the file at `path`, which has `size`. Throws EspalierError "bad-store" when it is no datastore, of another version,
 * cut off or damaged.
 */
export function decodeHeader(path: string, start: Uint8Array, size: number): StoreHeader {
  const refuse = (why: string): never => {
    throw new EspalierError("bad-store", `${path} cannot be used as a datastore: ${why}`);
  };
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (!isStore(bytes)) refuse("it starts with other bytes; make one with `espalier datastore build`");
  if (bytes.length < HEADER_BYTES) refuse(`it ends after ${size} bytes; build or copy it again`);
  const version = bytes.readUInt32LE(8);
  if (version !== VERSION) {
    refuse(
      version < VERSION
        ? `it has version ${version}, this program reads ${VERSION}; build it again`
        : `it has version ${version}, this program reads ${VERSION}; use a newer one, or build it again`,
    );
  }
  if (bytes.readUInt32LE(HEADER_BYTES - 4) !== crc32(bytes.subarray(0, HEADER_BYTES - 4))) {
    refuse("the checksum of its header is wrong; build or copy it again");
  }
  const [width, vocabSize, count, documents, checksum] = [12, 16, 20, 24, 28].map((at) =>
    bytes.readUInt32LE(at),
  ) as [number, number, number, number, number];
  if (vocabSize < 1 || vocabSize > MOST_VOCAB || width !== tokenWidth(vocabSize)) {
    refuse(`it has tokens of ${width} bytes for a vocabulary of ${vocabSize}; build it again`);
  }
  if (count > MOST_TOKENS || documents > count) {
    refuse(`it says that it has ${count} tokens in ${documents} documents; build it again`);
  }
  const expected = placesOf({ vocabSize, count }).bytes;
  if (size !== expected) {
    refuse(`it has ${size} bytes and should have ${expected}; build or copy it again`);
  }
  return { fingerprint: bytes.toString("hex", 32, 64), vocabSize, count, documents, checksum };
}
