/**
 * @file What opinions weigh at first, as learnt on texts of our own (docs/log.md), greedy and at temperature 0.8, by SmolLM2-135M and the embedded model: so
 * that the first trees are not full of tokens which the model would have named if they were likely.
 */

import { Mixer, type MixerPrior } from "./mixer.ts";

/** A model, retrieval, recycling, in this order; where the model was not asked, less is known and nothing stated. */
export const MODEL_AND_TABLES: readonly MixerPrior[] = [
  { set: Mixer.setOf(0b001, true), drafters: [0.85, 1, 1], rival: 0.55, bias: 0 },
  { set: Mixer.setOf(0b010, true), drafters: [1, 1, 1], rival: 0.5, bias: -1.5 },
  { set: Mixer.setOf(0b011, true), drafters: [0.88, 0.42, 1], rival: 0, bias: 0.65 },
  { set: Mixer.setOf(0b100, true), drafters: [1, 1, 1], rival: 0.8, bias: -0.6 },
  { set: Mixer.setOf(0b101, true), drafters: [0.75, 1, 0.25], rival: 0.4, bias: 0.6 },
  { set: Mixer.setOf(0b110, true), drafters: [1, 1, 0.35], rival: 0.5, bias: -0.15 },
  { set: Mixer.setOf(0b111, true), drafters: [0.88, 0.5, 0.13], rival: 0.05, bias: 1.2 },
];

/** Retrieval, recycling. */
export const TABLES: readonly MixerPrior[] = [
  { set: Mixer.setOf(0b01, false), drafters: [1.05, 1], rival: 0.55, bias: -0.6 },
  { set: Mixer.setOf(0b10, false), drafters: [1, 0.85], rival: 0.75, bias: -0.45 },
  { set: Mixer.setOf(0b11, false), drafters: [0.75, 0.33], rival: 0.45, bias: 0.8 },
];
