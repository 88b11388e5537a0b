/**
 * @file The contract of an exit block (EESD, arXiv:2406.03853): one trained layer behind the target's own first ones, which guesses what
 * the target says next.
 */

import type { DraftHead } from "./draft-head.ts";

/**
 * A draft head whose feature of a row is the target's state behind {@link exitLayer} layers at the row's own position: row i of a text
 * holds token i and guesses token i + 1. Drafted rows take such states too, from TargetSequence.forwardFirst.
 */
export interface ExitBlock extends DraftHead {
  readonly exitLayer: number;
}
