/** @file A method: which drafters, put together by which structure, and what it keeps between texts. */

import type { RetrievalSource } from "../draft/continuations.ts";
import type { Drafter } from "../draft/drafter.ts";
import type { Learnt } from "../draft/learnt.ts";
import type { QuestionTimes } from "../structure/question-times.ts";
import type { Structure } from "../structure/structure.ts";
import type { DraftHead } from "../target/draft-head.ts";
import type { ExitBlock } from "../target/exit-block.ts";
import type { LengthPredictor } from "../target/length-predictor.ts";
import type { Target, TargetSequence } from "../target/target.ts";

/** The parts that draft for one text. */
export interface Composition {
  readonly structure: Structure;
  /** Drafter i owns bit i of a node's `sources`. */
  readonly drafters: readonly Drafter[];
}

/** Made once for a model: texts come and go, what was learnt stays. */
export interface Method {
  readonly name: string;
  /** What it learns that later texts of the model can start with, in this process or another; undefined: nothing. */
  readonly learnt?: Learnt;
  /** Its passes leave out layers that have run for drafts: what they take says nothing about passes of other methods. */
  readonly partial?: boolean;
  /** Parts for the text in `sequence`. Several texts may run at once; they learn into the same memory. */
  compose(sequence: TargetSequence): Composition;
}

/** What a method must know of the model, and what a user may add to it. */
export interface MethodOptions {
  readonly vocabSize: number;
  /** The longest text, in tokens. */
  readonly contextLength: number;
  /** A smaller model of the same vocabulary. */
  readonly draftModel?: Target | undefined;
  /** A draft head that was trained for the model. */
  readonly head?: DraftHead | undefined;
  /** An exit block that was trained for the model. */
  readonly exit?: ExitBlock | undefined;
  /** A length predictor that was trained for the head or, without one, for the draft model. */
  readonly lengths?: LengthPredictor | undefined;
  /** What questions to a model that drafts take. */
  readonly questions?: QuestionTimes | undefined;
  /** Texts of the same vocabulary to retrieve from. */
  readonly datastore?: RetrievalSource | undefined;
}
