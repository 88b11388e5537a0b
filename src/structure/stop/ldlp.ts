/**
 * @file AdaEAGLE's rule (arXiv:2412.18910): before a step begins, a predictor says how many tokens of its draft will be accepted, and no
 * more are drafted. Of a tree it limits the depth. A prediction of 0 is a step of plain decoding.
 */

import type { LengthPredictor } from "../../target/length-predictor.ts";
import type { StopRule } from "./stop-rule.ts";

export function ldlp(predictor: LengthPredictor): StopRule {
  const [embedding, last] = predictor.taps;
  // No step has shown what the target thought when a text begins.
  let length = predictor.longest;
  /** What it has not been asked about yet. A prediction takes a few percent of a step, and beside another rule not every step needs it. */
  let states: [Float32Array, Float32Array] | undefined;
  return {
    taps: predictor.taps,
    async load() {
      await predictor.load?.();
    },
    begin() {
      length = predictor.longest;
      states = undefined;
    },
    continue({ levels }) {
      if (states) length = predictor.predict(...states);
      states = undefined;
      return levels < length;
    },
    observe({ pass, path }) {
      const validated = path.at(-1)!;
      // Copies: the pass's memory is the next one's.
      states = [pass.hidden(validated, embedding).slice(), pass.hidden(validated, last).slice()];
    },
  };
}
