/** @file What tells vocabularies apart, so that token ids in a file are not read with those of another model. */

import { createHash } from "node:crypto";

/** Hex SHA-256 over the texts of a vocabulary, each as UTF-8 with a zero byte after it: two files with the same one share their ids. */
export function fingerprint(tokens: readonly string[]): string {
  const hash = createHash("sha256");
  for (const token of tokens) hash.update(`${token}\0`);
  return hash.digest("hex");
}
