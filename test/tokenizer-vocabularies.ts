/** @file The vocabularies of test/fixtures/tokenizers and the lines they are tested with (test/reference/tokenizer_families.py). */

import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { openGguf } from "../src/checkpoint/gguf.ts";
import { readTokenizerSpec } from "../src/checkpoint/tokenizer-spec.ts";
import type { TokenizerSpec } from "../src/text/vocabulary.ts";

const fixtures = new URL("fixtures/", import.meta.url);

function json<T>(name: string): T {
  const bytes = readFileSync(new URL(name, fixtures));
  return JSON.parse((name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString());
}

/** 1,000 varied lines, and some more for what only these families have. */
export const lines: readonly string[] = [
  ...json<{ lines: string[] }>("smollm2-tokenizer.json.gz").lines,
  ...json<string[]>("tokenizers/extra-lines.json"),
];

/** A small vocabulary of the fixtures: "llama", "phi3", "gemma" or "byte-level". */
export async function smallVocabulary(name: string): Promise<TokenizerSpec> {
  const folder = await mkdtemp(join(tmpdir(), "espalier-vocabulary-"));
  const path = join(folder, `${name}.gguf`);
  await writeFile(path, gunzipSync(readFileSync(new URL(`tokenizers/${name}.gguf.gz`, fixtures))));
  try {
    return await vocabularyIn(path);
  } finally {
    await rm(folder, { recursive: true });
  }
}

export async function vocabularyIn(path: string): Promise<TokenizerSpec> {
  await using gguf = await openGguf(path);
  return readTokenizerSpec(gguf);
}

/** Where a published vocabulary is, if it is on this machine: they are not ours to keep in the repository. */
export function publishedVocabulary(name: string): string | undefined {
  const path = join(homedir(), ".cache", "espalier", "tokenizers", `${name}.gguf`);
  return existsSync(path) ? path : undefined;
}

/** What the reference says of `tokens` being those of a line. */
export class ReferenceIds {
  readonly #digests: Buffer;

  constructor(name: string) {
    this.#digests = readFileSync(new URL(`tokenizers/${name}.ids`, fixtures));
  }

  get lines(): number {
    return this.#digests.length / 8;
  }

  /** `special`: with control tokens recognised. */
  agree(line: number, special: boolean, tokens: readonly number[]): boolean {
    const at = line * 8 + (special ? 0 : 4);
    const digest = createHash("sha256").update(Uint32Array.from(tokens)).digest();
    return digest.compare(this.#digests, at, at + 4, 0, 4) === 0;
  }
}
