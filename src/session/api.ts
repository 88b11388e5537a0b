/** @file What a caller asks for and gets back: the request, the stream of events, the stats. */

import type { ChatMessage } from "../text/chat-template.ts";
import type { TokenId } from "../types.ts";
import type { StepReport } from "./step-report.ts";

/** Why a text ended. */
export type StopReason = "end-token" | "stop-string" | "max-tokens" | "context-full" | "aborted";

export interface SamplingOptions {
  /** 0 (the default) picks the most likely token; above 0 samples. At most 100. */
  readonly temperature?: number;
  /** Keep the k most likely tokens; 0 (the default) keeps all. */
  readonly topK?: number;
  /** Keep the smallest set of tokens whose probability reaches topP, in (0, 1]; default 1. */
  readonly topP?: number;
  /** Drop tokens less likely than minP times the most likely one, in [0, 1]; default 0. */
  readonly minP?: number;
  /** Divides (or, below zero, multiplies) the logits of tokens seen in the text, > 0; default 1. */
  readonly repetitionPenalty?: number;
  /** Taken from a token's logit once for each time it was generated; default 0. */
  readonly frequencyPenalty?: number;
  /** Taken from a token's logit when it was generated at all; default 0. */
  readonly presencePenalty?: number;
  /** Unsigned 32-bit integer; the same seed gives the same text. Default 0. */
  readonly seed?: number;
}

/** Give exactly one of `prompt`, `messages` and `tokens`. */
export interface GenerateRequest extends SamplingOptions {
  /** Raw text, fed as it is (special tokens in it are read as text; beginning- and end-of-text tokens are added if the model wants them). */
  readonly prompt?: string;
  /**
   * A conversation, rendered with the model's chat template. Special tokens that a message spells out are read as text:
   * nobody can end a turn or begin another one from inside a message.
   */
  readonly messages?: readonly ChatMessage[];
  /** Token ids, fed as they are. */
  readonly tokens?: readonly TokenId[];
  /** Most tokens to generate, >= 1. Default: what the context leaves. */
  readonly maxTokens?: number;
  /** Text that ends the generation; it is not part of the result. */
  readonly stop?: readonly string[];
  /**
   * How to draft: a name out of the model's `methodNames`; default: the model's `defaultMethod`. Some take a number: `chain:3` drafts
   * three tokens, `ddd:0.6` until the logarithm of the draft's probability is below -0.6, `opt-tree:0.5` has delta 0.5,
   * `eesd:beta-ts` ends by Beta-TS.
   */
  readonly method?: string;
  /** Most nodes of a draft tree, root included, >= 1. Default: chosen from the measured cost of a pass. */
  readonly budget?: number;
  /**
   * A text that the result will probably be like, such as the file that is to be edited: guesses are looked up in it, beside those of
   * the method. It can make the text come faster, never change it.
   */
  readonly prediction?: string;
  /** Report the log-probability of every token, and of so many of the likeliest in its place: 0 to 20. Default: none of it. */
  readonly logProbs?: number;
  /**
   * Is told of every step behind the prompt, before its text comes: the tree, what was accepted, and where the time went. It runs between
   * two steps and outside their times; what it throws ends the generation. Steps that nobody watches are not copied.
   */
  readonly onStep?: (step: StepReport) => void;
  readonly signal?: AbortSignal;
}

/** A token, and how likely the model found it before penalties, temperature and filters. */
export interface TokenLogProb {
  readonly token: TokenId;
  /** The token's UTF-8, maybe of a part of a character; empty for control tokens. */
  readonly bytes: Uint8Array;
  /** Natural logarithm of its probability. */
  readonly logProb: number;
}

/** A token of the text with the likeliest ones in its place. */
export interface PieceLogProbs extends TokenLogProb {
  /** Most likely first; as many as the request asked for. */
  readonly top: readonly TokenLogProb[];
}

/** One token of the text as it was shown. */
export interface TextPiece {
  readonly token: TokenId;
  /** The characters that became complete with this token; may be empty. */
  readonly text: string;
  /** Names of the drafters that had guessed it; empty for the target's own (bonus) token. */
  readonly drafters: readonly string[];
  /** When the request asked for them; the end token has none. */
  readonly logProbs?: PieceLogProbs;
}

export interface DrafterStats {
  /** Nodes this drafter put into trees. */
  readonly drafted: number;
  /** Those that were accepted. */
  readonly accepted: number;
  /** Passes of its own model after the prompt; 0 for drafters that have none. */
  readonly passes: number;
}

export interface GenerateStats {
  readonly method: string;
  readonly promptTokens: number;
  /** Prompt tokens that were in the cache already. */
  readonly cachedTokens: number;
  /** Tokens of the result (the end token included, the tokens of a cut-off stop string not). */
  readonly tokens: number;
  /** Target passes after the prefill. */
  readonly passes: number;
  /** Mean accepted tokens: tokens emitted per pass, bonus included. */
  readonly mat: number;
  /** Nodes verified in all passes, roots included. */
  readonly nodes: number;
  readonly prefillMs: number;
  /** Wall time of all steps. */
  readonly decodeMs: number;
  /** Part of decodeMs spent waiting for target passes. */
  readonly passMs: number;
  /** Part of decodeMs spent on drafts: growing trees, passes of draft models, learning. */
  readonly draftMs: number;
  /** Why drafting had stopped by the end, such as "off: drafts gave 0.93 tokens in the time of a plain one"; null when it had not. */
  readonly off: string | null;
  /** tokens / decodeMs, per second. */
  readonly tokensPerSecond: number;
  readonly byDrafter: Readonly<Record<string, DrafterStats>>;
}

/** What generate() yields: any number of "text", then one "end". */
export type GenerateEvent =
  | { readonly type: "text"; readonly text: string; readonly pieces: readonly TextPiece[] }
  | {
      readonly type: "end";
      /** The whole result. */
      readonly text: string;
      /** Ids of the whole result. */
      readonly tokens: readonly TokenId[];
      readonly stopReason: StopReason;
      readonly stats: GenerateStats;
    };
