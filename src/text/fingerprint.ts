/** @file What tells vocabularies apart, so that token ids in a file are not read with those of another model. */

import { createHash } from "node:crypto";

/** Tokens that are hashed together: in so many short texts it takes four times as long. */
const TOGETHER = 4096;

/** Hex SHA-256 over the texts of a vocabulary, each as UTF-8 with a zero byte after it: two files with the same one share their ids. */
export function fingerprint(tokens: readonly string[]): string {
  const hash = createHash("sha256");
  for (let first = 0; first < tokens.length; first += TOGETHER) {
    hash.update(`${tokens.slice(first, first + TOGETHER).join("\0")}\0`);
  }
  return hash.digest("hex");
}
