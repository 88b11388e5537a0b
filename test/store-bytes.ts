/** @file Datastores written without the code that builds them: suffixes by comparison, bytes by hand. */

import { crc32 } from "node:zlib";

export interface StoreContents {
  readonly documents: readonly (readonly number[])[];
  readonly vocabSize: number;
  /** 64 hex digits; default: zeros. */
  readonly fingerprint?: string;
}

/** The tokens of all documents, with the border `vocabSize` after each. */
export function joinDocuments({ documents, vocabSize }: StoreContents): number[] {
  return documents.flatMap((document) => [...document, vocabSize]);
}

/** Where the suffixes of `tokens` begin, smallest first. */
export function sortSuffixes(tokens: ArrayLike<number>): number[] {
  return Array.from({ length: tokens.length }, (_, at) => at).sort((one, other) => {
    for (let i = 0; ; i++) {
      if (one + i >= tokens.length || other + i >= tokens.length) return other - one;
      const order = tokens[one + i]! - tokens[other + i]!;
      if (order !== 0) return order;
    }
  });
}

export function storeBytes(contents: StoreContents): Buffer {
  const { documents, vocabSize, fingerprint = "0".repeat(64) } = contents;
  const tokens = joinDocuments(contents);
  const width = vocabSize < 65_536 ? 2 : 4;
  const tokenBytes = Math.ceil((tokens.length * width) / 4) * 4;
  const file = Buffer.alloc(128 + tokenBytes + 4 * tokens.length);
  file.write("ESPSTORE");
  file.writeUInt32LE(1, 8);
  file.writeUInt32LE(width, 12);
  file.writeUInt32LE(vocabSize, 16);
  file.writeUInt32LE(tokens.length, 20);
  file.writeUInt32LE(documents.length, 24);
  file.write(fingerprint, 32, "hex");
  for (const [i, token] of tokens.entries()) file.writeUIntLE(token, 128 + i * width, width);
  for (const [i, at] of sortSuffixes(tokens).entries()) file.writeUInt32LE(at, 128 + tokenBytes + 4 * i);
  return signed(file);
}

/** `file` with the checksums that its bytes should have. */
export function signed(file: Buffer): Buffer {
  file.writeUInt32LE(crc32(file.subarray(128)), 28);
  file.writeUInt32LE(crc32(file.subarray(0, 124)), 124);
  return file;
}
