/** @file What the engine must know of a model besides its weights. */

/** How positions turn query and key vectors (arXiv:2104.09864). */
export interface RopeConfig {
  /** "normal": neighbours (2i, 2i+1) turn together; "neox": (i, i + dims/2). */
  readonly order: "normal" | "neox";
  /** Values of a head that turn, even, at most headSize. */
  readonly dims: number;
  readonly base: number;
}

export interface ModelConfig {
  readonly architecture: "llama";
  readonly layers: number;
  readonly hiddenSize: number;
  readonly feedForwardSize: number;
  readonly heads: number;
  /** Key and value heads; divides `heads`. */
  readonly kvHeads: number;
  readonly headSize: number;
  readonly vocabSize: number;
  readonly contextLength: number;
  readonly normEpsilon: number;
  readonly rope: RopeConfig;
  /** The head is the embedding matrix. */
  readonly tiedHead: boolean;
}
