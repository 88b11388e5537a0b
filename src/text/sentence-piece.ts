/**
 * @file SentencePiece BPE (arXiv:1808.06226): spaces are written as U+2581, a whole text is one word, and of all merges
 * the one whose result has the highest score comes first. Characters without a token are spelled in byte tokens.
 */

import type { TokenId } from "../types.ts";
import { BytePairEncoder, type MergeRules } from "./bpe.ts";
import { TokenTable, unitsOf } from "./token-table.ts";
import { type TokenizerSpec, tokenType, type Vocabulary } from "./vocabulary.ts";

const space = "\u2581";

export class SentencePieceVocabulary implements Vocabulary {
  readonly #prefix: string;
  readonly #merger: BytePairEncoder;
  /** By byte; -1 where the vocabulary has none. */
  readonly #byteTokens: readonly TokenId[];
  readonly #unknown: TokenId | undefined;

  constructor(spec: TokenizerSpec) {
    this.#prefix = spec.addSpacePrefix ? space : "";
    const table = new TokenTable(spec.tokens.map(this.spell));
    this.#merger = new BytePairEncoder(table, new ScoreRules(spec, table));
    this.#byteTokens = byteTokens(table);
    this.#unknown = spec.unknownToken;
  }

  spell(text: string): string {
    return text.replaceAll(" ", space);
  }

  encode(spelled: string, tokens: TokenId[]): void {
    const units = unitsOf(this.#prefix + spelled);
    let afterUnknown = false;
    this.#merger.encode(units, (token, start, end) => {
      const found = token >= 0 ? [token] : this.#byteTokensOf(units.subarray(start, end));
      const known = !found.includes(-1);
      if (known) tokens.push(...found);
      // Unknown characters in a row are one token together.
      else if (this.#unknown !== undefined && !afterUnknown) tokens.push(this.#unknown);
      afterUnknown = !known;
    });
  }

  bytes(name: string, type: number): Uint8Array {
    const byte = type === tokenType.userDefined ? null : /^<0x([0-9A-F]{2})>$/.exec(name);
    return byte ? Uint8Array.of(Number.parseInt(byte[1]!, 16)) : Buffer.from(name.replaceAll(space, " "));
  }

  /** The byte tokens of a character; -1 where the vocabulary has none. */
  #byteTokensOf(character: Uint16Array): TokenId[] {
    return Array.from(Buffer.from(String.fromCharCode(...character)), (byte) => this.#byteTokens[byte]!);
  }
}

/** Two tokens join when their names, put together, are a token's name; the better its score, the sooner. */
class ScoreRules implements MergeRules {
  readonly #table: TokenTable;
  /** From the highest score down. */
  readonly #tokens: readonly TokenId[];
  /** Place in {@link #tokens}; -1 for tokens that nothing is merged into. */
  readonly #ranks: Int32Array;

  constructor({ tokens, types, scores }: TokenizerSpec, table: TokenTable) {
    const merged: TokenId[] = [];
    for (const token of tokens.keys()) if (types[token] === tokenType.normal) merged.push(token);
    // Sorting keeps the order of equals.
    merged.sort((a, b) => scores[b]! - scores[a]!);
    this.#table = table;
    this.#tokens = merged;
    this.#ranks = new Int32Array(tokens.length).fill(-1);
    for (const [rank, token] of merged.entries()) this.#ranks[token] = rank;
  }

  rank(_left: TokenId, _right: TokenId, units: Uint16Array, start: number, end: number): number {
    const token = this.#table.find(units, start, end);
    return token < 0 ? -1 : this.#ranks[token]!;
  }

  joined(rank: number): TokenId {
    return this.#tokens[rank]!;
  }
}

function byteTokens(table: TokenTable): TokenId[] {
  return Array.from({ length: 256 }, (_, byte) => {
    const name = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
    return table.find(unitsOf(name), 0, name.length);
  });
}
