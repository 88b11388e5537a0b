/** @file What a model is put together from. */

import type { RetrievalSource } from "../draft/continuations.ts";
import type { Kept } from "../draft/learnt.ts";
import type { PassCosts } from "../plan/cost.ts";
import type { QuestionCosts } from "../structure/question-times.ts";
import type { DraftHead } from "../target/draft-head.ts";
import type { ExitBlock } from "../target/exit-block.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import type { Target } from "../target/target.ts";
import type { ChatMessage } from "../text/chat-template.ts";
import type { TokenBytes } from "../text/detokenizer.ts";
import type { TokenId } from "../types.ts";

/** Text to tokens and back; `Tokenizer` of `text/` is one. */
export interface TextCodec extends TokenBytes {
  /** The same for all models of the same vocabulary: 64 hex digits. */
  readonly fingerprint: string;
  /** With `special`, names of special tokens in the text become these tokens. */
  encode(text: string, options: { special: boolean }): readonly TokenId[];
  /** `text` changed so that `encode` reads no special token out of it, wherever it is put. */
  quote(text: string): string;
  /** What goes before and behind every raw prompt. */
  readonly promptStart: readonly TokenId[];
  readonly promptEnd: readonly TokenId[];
}

/** Renders a conversation into the text that the model was trained on. */
export interface MessageRenderer {
  render(messages: readonly ChatMessage[], options: { addGenerationPrompt: boolean }): string;
}

/** Where what is learnt of a model outlives it. */
export interface Keeper {
  /** What earlier use has learnt. */
  readonly learnt: Kept;
  /** Something in it cannot be: told of its name. */
  refuse(name: string): void;
  /** Keeps what is learnt by now, of texts and of what passes take. Never throws. */
  keep(learnt: Kept, costs: Costs | undefined): Promise<void>;
}

/** What a model takes on this machine. */
export interface Costs {
  readonly passes: PassCosts;
  /** Where it has a model that drafts, and that was measured. */
  readonly questions?: QuestionCosts | undefined;
}

export interface ModelParts {
  readonly name: string;
  readonly target: Target;
  /** A smaller model of the same vocabulary, for drafting. */
  readonly draftModel?: Target | undefined;
  /** A draft head that was trained for the target. */
  readonly head?: DraftHead | undefined;
  /** An exit block that was trained for the target. */
  readonly exit?: ExitBlock | undefined;
  /** Predicts how many tokens of a draft are accepted. */
  readonly lengths?: LengthPredictor | undefined;
  /** Texts in the model's tokens to retrieve from; whoever opened it closes it. */
  readonly datastore?: RetrievalSource | undefined;
  readonly tokenizer: TextCodec;
  readonly chatTemplate?: MessageRenderer | undefined;
  /** Tokens that end a text. */
  readonly endTokens: Iterable<TokenId>;
  /** Default: nothing is known of earlier use, and nothing kept of this one. */
  readonly keeper?: Keeper | undefined;
  /** Measured milliseconds of a pass by rows, for the default budget. */
  readonly passTimes?: PassCosts | undefined;
  /** Measured milliseconds of questions to the draft model or else the head. */
  readonly questionCosts?: QuestionCosts | undefined;
}
