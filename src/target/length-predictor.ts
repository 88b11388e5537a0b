/**
 * @file The contract of a length predictor: how many drafted tokens the target is going to accept, told from what it thought last
 * (AdaEAGLE's LDLP, arXiv:2412.18910).
 */

export interface LengthPredictor extends Partial<AsyncDisposable> {
  /** The target's layers whose hidden states it reads: 0, the embedding, and the last. */
  readonly taps: readonly [embedding: number, last: number];
  /** It never predicts more. */
  readonly longest: number;
  /** Makes it ready to predict, if it is not. For those whose weights are read when they are first needed; throws EspalierError. */
  load?(): Promise<void>;
  /**
   * Tokens to draft, from 0 to `longest`, given the hidden states at the last validated token: the last one that the target has read,
   * before the bonus token. hiddenSize values each.
   */
  predict(embedding: Float32Array, last: Float32Array): number;
}
