/** @file A model as the engine knows it: operations and weights, no names of architectures. */

import type { ModelConfig } from "../checkpoint/config.ts";
import type { StackSpec } from "./binding.ts";
import type { Weights } from "./weights.ts";

export function stackSpec(config: ModelConfig, weights: Weights): StackSpec {
  return {
    hidden: config.hiddenSize,
    feed: config.feedForwardSize,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headSize: config.headSize,
    vocab: config.vocabSize,
    ropeDims: config.rope.dims,
    ropeNeox: config.rope.order === "neox",
    ropeBase: config.rope.base,
    normEpsilon: config.normEpsilon,
    attentionScale: config.attentionScale,
    layers: weights.layers,
    finalNorm: weights.finalNorm,
    embedding: weights.embedding,
    head: weights.head,
  };
}
