/**
 * @file Text to token ids and back, from what the model's file holds. Text survives the way there and back, but for
 * normalization, for bytes that the vocabulary lacks (SmolLM2: a few control characters), and for U+2581 in
 * SentencePiece vocabularies, where it is a space.
 */

import { EspalierError } from "../errors.ts";
import type { TokenId } from "../types.ts";
import { type AddedToken, AddedTokens } from "./added-tokens.ts";
import { ByteLevelVocabulary } from "./byte-level-vocabulary.ts";
import { Detokenizer, type TokenBytes } from "./detokenizer.ts";
import { fingerprint } from "./fingerprint.ts";
import { preTokenizer } from "./pre-tokenizer.ts";
import { SentencePieceVocabulary } from "./sentence-piece.ts";
import { type TokenizerSpec, tokenType, type Vocabulary } from "./vocabulary.ts";

export interface EncodeOptions {
  /**
   * True: control tokens that the text spells out become these tokens, as rendered chat templates need it.
   * False: they are text like any other.
   */
  readonly special: boolean;
}

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

const silentTypes: ReadonlySet<number> = new Set([tokenType.unknown, tokenType.control, tokenType.unused]);

/**
 * Keeps the name of a control token from being read as one: {@link Tokenizer.quote} puts it in, encoding takes it out. A
 * noncharacter of Unicode, which no text holds that is meant to be exchanged.
 */
const quoteMark = "\ufdd0";

/** The control tokens of Phi-3 after which white space counts. */
const keepSpaceAfter: ReadonlySet<string> = new Set(["<unk>", "<s>", "<|endoftext|>"]);

/** What holds for a kind of tokenizer where the model's file does not say otherwise. */
export interface TokenizerDefaults {
  readonly needs: "merges" | "scores";
  readonly addBos: boolean;
  readonly addSpacePrefix: boolean;
}

/** Throws EspalierError "unsupported-tokenizer", which lists what is supported. */
export function tokenizerDefaults(model: string, pre: string): TokenizerDefaults {
  switch (model) {
    case "gpt2":
      return { needs: "merges", addBos: preTokenizer(pre).addBos, addSpacePrefix: false };
    case "llama":
      return { needs: "scores", addBos: true, addSpacePrefix: true };
    default:
      throw new EspalierError(
        "unsupported-tokenizer",
        `the tokenizer model ${JSON.stringify(model.slice(0, 60))} is not supported; supported: ` +
          `"gpt2" (byte-level BPE), "llama" (SentencePiece BPE)`,
      );
  }
}

export class Tokenizer implements TokenBytes {
  readonly vocabSize: number;
  /** What goes before and behind a raw prompt. */
  readonly promptStart: readonly TokenId[];
  readonly promptEnd: readonly TokenId[];
  /** Tokens that end a text: the file's own and the well-known ones. */
  readonly endTokens: ReadonlySet<TokenId>;
  readonly startsWithSpace: boolean;
  readonly #spec: TokenizerSpec;
  readonly #vocabulary: Vocabulary;
  /** Tokens that are matched as a whole before words are cut: of both kinds, and user-defined ones alone. */
  readonly #withControl: AddedTokens;
  readonly #withoutControl: AddedTokens;
  /** Control tokens as texts spell them. */
  readonly #control: AddedTokens;
  #fingerprint: string | undefined;

  /**
   * Throws EspalierError "unsupported-tokenizer" for a model or pre-tokenizer that is not known, "bad-model" when
   * tokens or merges contradict each other.
   */
  constructor(spec: TokenizerSpec) {
    this.#spec = spec;
    this.vocabSize = spec.tokens.length;
    this.promptStart = spec.addBos && spec.bosToken !== undefined ? [spec.bosToken] : [];
    this.promptEnd = spec.addEos && spec.eosToken !== undefined ? [spec.eosToken] : [];
    // The published byte-level tokenizers leave their space in the text.
    this.startsWithSpace = spec.model === "llama" && spec.addSpacePrefix;
    this.#vocabulary = vocabularyOf(spec);
    const added = addedTokens(spec, this.#vocabulary);
    this.#withControl = new AddedTokens(added);
    this.#withoutControl = new AddedTokens(added.filter(({ token }) => !isControl(spec, token)));
    this.#control = new AddedTokens(controlSpellings(spec));
    this.endTokens = endTokens(spec);
  }

  /** The same for all tokenizers of the same vocabulary: hex SHA-256 of its names. */
  get fingerprint(): string {
    this.#fingerprint ??= fingerprint(this.#spec.tokens);
    return this.#fingerprint;
  }

  /** Token ids of `text`, without a beginning-of-text token. */
  encode(text: string, { special }: EncodeOptions): TokenId[] {
    const added = special ? this.#withControl : this.#withoutControl;
    const tokens: TokenId[] = [];
    added.cut(
      this.#vocabulary.spell(text),
      (part) => {
        const text = special ? part.replaceAll(quoteMark, "") : part;
        if (text !== "") this.#vocabulary.encode(text, tokens);
      },
      (token) => tokens.push(token),
    );
    return tokens;
  }

  /**
   * `text` with a mark (U+FDD0) in every name of a control token, so that `encode` with `special` reads it as text, in
   * whatever text it is put. What others wrote is quoted before a chat template gets it.
   */
  quote(text: string): string {
    return this.#control.interrupt(text, quoteMark);
  }

  /** The text of `tokens`. Bytes that are not UTF-8 become U+FFFD; control tokens have no text. */
  decode(tokens: readonly TokenId[]): string {
    const detokenizer = new Detokenizer(this);
    return tokens.map((token) => detokenizer.push(token)).join("") + detokenizer.end();
  }

  /** The bytes of UTF-8 text that `token` stands for, perhaps a part of a character; none for a control token. */
  tokenBytes(token: TokenId): Uint8Array {
    const name = this.tokenName(token);
    const type = this.#spec.types[token]!;
    return silentTypes.has(type) ? new Uint8Array(0) : this.#vocabulary.bytes(name, type);
  }

  /** The vocabulary's own name of `token`, such as "Ġthe" or "<|im_end|>". Throws RangeError when there is no such token. */
  tokenName(token: TokenId): string {
    const name = this.#spec.tokens[token];
    if (name === undefined) {
      throw new RangeError(`token ${token} is not in the vocabulary of ${this.vocabSize} tokens`);
    }
    return name;
  }
}

function vocabularyOf(spec: TokenizerSpec): Vocabulary {
  const { needs } = tokenizerDefaults(spec.model, spec.pre);
  return needs === "merges" ? new ByteLevelVocabulary(spec) : new SentencePieceVocabulary(spec);
}

function isControl({ types }: Pick<TokenizerSpec, "types">, token: TokenId): boolean {
  return types[token] === tokenType.control || types[token] === tokenType.unknown;
}

function addedTokens(spec: TokenizerSpec, vocabulary: Vocabulary): AddedToken[] {
  const added: AddedToken[] = [];
  for (const [token, name] of spec.tokens.entries()) {
    const control = isControl(spec, token);
    if (name === "" || !(control || spec.types[token] === tokenType.userDefined)) continue;
    const trims = control && spec.trimAfterControl && !keepSpaceAfter.has(name);
    added.push({ name: vocabulary.spell(name), token, trims });
  }
  return added;
}

function endTokens({ tokens, types, eosToken, eotToken }: TokenizerSpec): Set<TokenId> {
  const ends = new Set<TokenId>();
  for (const token of [eosToken, eotToken]) if (token !== undefined) ends.add(token);
  for (const [token, name] of tokens.entries()) {
    if (types[token] === tokenType.control && endTokenNames.has(name)) ends.add(token);
  }
  return ends;
}

/** Where a vocabulary writes spaces in another way, texts may spell a name in both. */
function controlSpellings({ tokens, types }: TokenizerSpec): AddedToken[] {
  const spellings = new Map<string, TokenId>();
  for (const [token, name] of tokens.entries()) {
    if (name === "" || !isControl({ types }, token)) continue;
    spellings.set(name, token).set(name.replaceAll("\u2581", " "), token);
  }
  return Array.from(spellings, ([name, token]) => ({ name, token, trims: false }));
}
