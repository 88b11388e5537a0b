/** @file Byte-level BPE (GPT-2): text is cut into words by a pattern, and the merges apply to the bytes of each word. */

import type { TokenId } from "../types.ts";
import { BytePairEncoder } from "./bpe.ts";
import { byteLevelBytes, byteLevelUnits } from "./byte-level.ts";
import { MergeList } from "./merge-list.ts";
import { cutWords, type PreTokenizer, preTokenizer } from "./pre-tokenizer.ts";
import { TokenTable } from "./token-table.ts";
import { type TokenizerSpec, tokenType, type Vocabulary } from "./vocabulary.ts";

export class ByteLevelVocabulary implements Vocabulary {
  readonly #rules: PreTokenizer;
  readonly #addSpacePrefix: boolean;
  readonly #table: TokenTable;
  readonly #merger: BytePairEncoder;

  constructor(spec: TokenizerSpec) {
    this.#rules = preTokenizer(spec.pre);
    this.#addSpacePrefix = spec.addSpacePrefix;
    this.#table = new TokenTable(spec.tokens);
    this.#merger = new BytePairEncoder(this.#table, new MergeList(spec.merges, this.#table));
  }

  spell(text: string): string {
    return text;
  }

  encode(text: string, tokens: TokenId[]): void {
    const normal = this.#rules.normalize ? text.normalize("NFC") : text;
    const prefix = this.#addSpacePrefix && !normal.startsWith(" ") ? " " : "";
    for (const word of cutWords(prefix + normal, this.#rules)) this.#encodeWord(word, tokens);
  }

  bytes(name: string, type: number): Uint8Array {
    return (type === tokenType.userDefined ? undefined : byteLevelBytes(name)) ?? Buffer.from(name);
  }

  #encodeWord(word: string, tokens: TokenId[]): void {
    const units = byteLevelUnits(word);
    const whole = this.#rules.ignoreMerges ? this.#table.find(units, 0, units.length) : -1;
    if (whole >= 0) tokens.push(whole);
    else {
      this.#merger.encode(units, (token) => {
        // A byte that the vocabulary lacks is dropped, as in the library of the published tokenizers.
        if (token >= 0) tokens.push(token);
      });
    }
  }
}
