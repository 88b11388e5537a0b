/** @file A model as the engine knows it: operations and weights, no names of architectures. */

import type { ModelConfig } from "../checkpoint/config.ts";
import { type RopeConfig, ropeAmplitude, ropeFactors } from "../checkpoint/rope.ts";
import type { StackRope, StackSpec } from "./binding.ts";
import type { Weights } from "./weights.ts";

function stackRope(rope: RopeConfig, listed: Float32Array | undefined): StackRope {
  return { base: rope.base, factors: ropeFactors(rope, listed), amplitude: ropeAmplitude(rope) };
}

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
    ropes: [stackRope(config.rope, weights.ropeFactors)],
    normEpsilon: config.normEpsilon,
    attentionScale: config.attentionScale,
    layers: weights.layers.map((layer) => ({ ...layer, rope: 0 })),
    finalNorm: weights.finalNorm,
    embedding: weights.embedding,
    head: weights.head,
  };
}
