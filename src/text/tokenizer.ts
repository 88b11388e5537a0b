/**
 * @file Text to token ids and back, by `@huggingface/tokenizers` from what the model's file holds. Text survives the way
 * there and back, but for bytes that the vocabulary lacks (SmolLM2: a few control characters) and normalization.
 */

import { Tokenizer as WordTokenizer } from "@huggingface/tokenizers";
import type { TokenId } from "../types.ts";
import { byteLevelBytes } from "./byte-level.ts";
import { type PreTokenizer, preTokenizer } from "./pre-tokenizer.ts";

/** What a model's file says about its tokenizer; `checkpoint/` fills it from GGUF metadata. */
export interface TokenizerSpec {
  /** `tokenizer.ggml.model`: "gpt2" is byte-level BPE. */
  readonly model: string;
  /** `tokenizer.ggml.pre`: which pre-tokenizer, such as "smollm". */
  readonly pre: string;
  readonly tokens: readonly string[];
  /** GGUF token types: 1 normal, 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte. */
  readonly types: readonly number[];
  readonly merges: readonly string[];
  readonly bosToken?: TokenId;
  readonly eosToken?: TokenId;
  /** Ends a turn, where that is not what ends a text. */
  readonly eotToken?: TokenId;
  readonly addBos: boolean;
  readonly addSpacePrefix: boolean;
}

export interface EncodeOptions {
  /**
   * True: control tokens that the text spells out become these tokens, as rendered chat templates need it.
   * False: they are text like any other.
   */
  readonly special: boolean;
}

const unknown = 2;
const control = 3;
const userDefined = 4;
const unused = 5;

/** Control tokens of the well-known families that end a text or a turn. */
const endTokenNames: ReadonlySet<string> = new Set([
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<end_of_turn>",
  "<|END_OF_TURN_TOKEN|>",
  "</s>",
]);

/** Throws EspalierError "unsupported-tokenizer" for a model or pre-tokenizer that is not known. */
export class Tokenizer {
  readonly vocabSize: number;
  readonly bos: TokenId | undefined;
  /** Raw prompts start with {@link bos}. */
  readonly addBos: boolean;
  /** Tokens that end a text: the file's own and the well-known ones. */
  readonly endTokens: ReadonlySet<TokenId>;
  readonly #spec: TokenizerSpec;
  readonly #rules: PreTokenizer;
  /** Finds tokens that are matched as a whole before words are cut: of both kinds, and user-defined ones alone. */
  readonly #withControl: RegExp | undefined;
  readonly #withoutControl: RegExp | undefined;
  readonly #addedIds: ReadonlyMap<string, TokenId>;
  #words: WordTokenizer | undefined;

  constructor(spec: TokenizerSpec) {
    const { tokens, types } = spec;
    this.#spec = spec;
    this.#rules = preTokenizer(spec.model, spec.pre);
    this.vocabSize = tokens.length;
    this.bos = spec.bosToken;
    this.addBos = spec.addBos;

    const added = new Map<string, TokenId>();
    const userDefinedNames: string[] = [];
    const ends = new Set<TokenId>();
    for (const token of [spec.eosToken, spec.eotToken]) if (token !== undefined) ends.add(token);
    for (let token = 0; token < tokens.length; token++) {
      const type = types[token];
      const name = tokens[token]!;
      if ((type !== unknown && type !== control && type !== userDefined) || name === "") continue;
      added.set(name, token);
      if (type === userDefined) userDefinedNames.push(name);
      if (type === control && endTokenNames.has(name)) ends.add(token);
    }
    this.endTokens = ends;
    this.#addedIds = added;
    this.#withControl = anyOf([...added.keys()]);
    this.#withoutControl = anyOf(userDefinedNames);
  }

  /** Token ids of `text`, without a beginning-of-text token. */
  encode(text: string, { special }: EncodeOptions): TokenId[] {
    const added = special ? this.#withControl : this.#withoutControl;
    // Splitting by a pattern in parentheses keeps what matched, at every odd place.
    const pieces = added === undefined ? [text] : text.split(added);
    const ids: TokenId[] = [];
    for (let i = 0; i < pieces.length; i++) {
      const piece = pieces[i]!;
      if (i % 2 === 1) ids.push(this.#addedIds.get(piece)!);
      else if (piece !== "") for (const id of this.#wordTokenizer().encode(piece).ids) ids.push(id);
    }
    return ids;
  }

  /** The text of `tokens`. Bytes that are not UTF-8 become U+FFFD; control tokens have no text. */
  decode(tokens: readonly TokenId[]): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    let text = "";
    for (const token of tokens) text += decoder.decode(this.tokenBytes(token), { stream: true });
    return text + decoder.decode();
  }

  /** The bytes of UTF-8 text that `token` stands for, perhaps a part of a character; none for a control token. */
  tokenBytes(token: TokenId): Uint8Array {
    const entry = this.tokenName(token);
    switch (this.#spec.types[token]) {
      case unknown:
      case control:
      case unused:
        return new Uint8Array(0);
      case userDefined:
        return Buffer.from(entry);
      default:
        return byteLevelBytes(entry) ?? Buffer.from(entry);
    }
  }

  /** The vocabulary's own name of `token`, such as "Ġthe" or "<|im_end|>". Throws RangeError when there is no such token. */
  tokenName(token: TokenId): string {
    const name = this.#spec.tokens[token];
    if (name === undefined) {
      throw new RangeError(`token ${token} is not in the vocabulary of ${this.vocabSize} tokens`);
    }
    return name;
  }

  /** Built on first use: it takes far longer than all the rest, and decoding does without it. */
  #wordTokenizer(): WordTokenizer {
    this.#words ??= buildWordTokenizer(this.#spec, this.#rules);
    return this.#words;
  }
}

/** Matches any of `names`, the longest that fits, in a group; undefined when there are none. */
function anyOf(names: readonly string[]): RegExp | undefined {
  if (names.length === 0) return undefined;
  const longestFirst = names.toSorted((a, b) => b.length - a.length);
  return new RegExp(`(${longestFirst.map(escapePattern).join("|")})`);
}

function escapePattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, "\\$&");
}

/** The library's tokenizer for text that holds no added token. */
function buildWordTokenizer(spec: TokenizerSpec, rules: PreTokenizer): WordTokenizer {
  const split = (pattern: string) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  });
  const pretokenizers = [
    ...rules.patterns.map(split),
    { type: "ByteLevel", add_prefix_space: spec.addSpacePrefix, trim_offsets: true, use_regex: false },
  ];
  return new WordTokenizer(
    {
      version: "1.0",
      added_tokens: [],
      normalizer: rules.normalize ? { type: "NFC" } : null,
      pre_tokenizer: { type: "Sequence", pretokenizers },
      post_processor: null,
      decoder: { type: "ByteLevel" },
      model: {
        type: "BPE",
        // Unlike an assignment, this also keeps a token called __proto__.
        vocab: Object.fromEntries(spec.tokens.map((name, token) => [name, token])),
        merges: spec.merges,
        ignore_merges: rules.ignoreMerges,
      },
    },
    {},
  );
}
