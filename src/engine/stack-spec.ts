/** @file A model as the engine knows it: operations and weights, no names of architectures. */

import type { ModelConfig } from "../checkpoint/config.ts";
import { type RopeConfig, ropeAmplitude, ropeFactors } from "../checkpoint/rope.ts";
import type { StackRope, StackSpec } from "./binding.ts";
import type { Weights } from "./weights.ts";

export function stackSpec(config: ModelConfig, weights: Weights): StackSpec {
  const { localRope } = config;
  return {
    hidden: config.hiddenSize,
    feed: config.feedForwardSize,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headSize: config.headSize,
    vocab: config.vocabSize,
    ropeDims: config.rope.dims,
    ropeNeox: config.rope.order === "neox",
    ropes: [stackRope(config.rope, weights.ropeFactors), ...(localRope ? [stackRope(localRope)] : [])],
    normEpsilon: config.normEpsilon,
    gelu: config.activation === "gelu",
    embeddingScale: config.embeddingScale,
    attentionScale: config.attentionScale,
    attentionCap: config.attentionCap ?? 0,
    logitCap: config.logitCap ?? 0,
    layers: weights.layers.map((layer, i) => {
      const window = config.windows[i] ?? 0;
      return { ...layer, rope: window > 0 && localRope ? 1 : 0, window };
    }),
    finalNorm: weights.finalNorm,
    embedding: weights.embedding,
    head: weights.head,
  };
}

function stackRope(rope: RopeConfig, listed?: Float32Array): StackRope {
  return { base: rope.base, factors: ropeFactors(rope, listed), amplitude: ropeAmplitude(rope) };
}
