/**
 * @file Which tokens of a whole row top-k and top-p keep, without sorting the vocabulary: tokens are counted into bins
 * by how far below the best they are, and only the bin with the border in it is sorted.
 */

import type { TokenId } from "../types.ts";

/** The last token that is kept. Before it come tokens of smaller `delta`, and of equal delta and lower id. */
export interface Cut {
  /** Distance below the best score, >= 0. */
  readonly delta: number;
  readonly token: TokenId;
}

const BINS = 512;
const BINS_PER_UNIT = 16;
const counts = new Int32Array(BINS);
const masses = new Float64Array(BINS);

function binOf(delta: number): number {
  return delta < BINS / BINS_PER_UNIT ? (delta * BINS_PER_UNIT) | 0 : BINS - 1;
}

/**
 * The border of the `topK` (0: all) best tokens, and within these of the fewest that hold `topP` of their probability.
 * A token's probability is proportional to exp((logit - best) * scale).
 */
export function cutRow(logits: Float32Array, best: number, scale: number, topK: number, topP: number): Cut {
  counts.fill(0);
  masses.fill(0);
  for (let token = 0; token < logits.length; token++) {
    const delta = (best - logits[token]!) * scale;
    const bin = binOf(delta);
    counts[bin] = counts[bin]! + 1;
    if (topP < 1) masses[bin] = masses[bin]! + Math.exp(-delta);
  }

  let lastBin = BINS - 1;
  let border: Cut[] | undefined;
  if (topK > 0 && topK < logits.length) {
    let left = topK;
    for (lastBin = 0; counts[lastBin]! < left; lastBin++) left -= counts[lastBin]!;
    border = binContents(logits, best, scale, lastBin).slice(0, left);
    masses[lastBin] = border.reduce((sum, { delta }) => sum + Math.exp(-delta), 0);
  }
  if (topP < 1) {
    let mass = 0;
    for (let bin = 0; bin <= lastBin; bin++) mass += masses[bin]!;
    let left = topP * mass;
    let bin = 0;
    for (; bin < lastBin && masses[bin]! < left; bin++) left -= masses[bin]!;
    const tokens = bin === lastBin && border ? border : binContents(logits, best, scale, bin);
    let kept = 0;
    while (kept < tokens.length - 1 && left > Math.exp(-tokens[kept]!.delta)) {
      left -= Math.exp(-tokens[kept++]!.delta);
    }
    return tokens[kept] ?? { delta: Infinity, token: logits.length };
  }
  return border?.at(-1) ?? { delta: Infinity, token: logits.length };
}

/** The tokens of one bin, best first. */
function binContents(logits: Float32Array, best: number, scale: number, bin: number): Cut[] {
  const contents: Cut[] = [];
  for (let token = 0; token < logits.length; token++) {
    const delta = (best - logits[token]!) * scale;
    if (binOf(delta) === bin) contents.push({ delta, token });
  }
  return contents.sort((a, b) => a.delta - b.delta || a.token - b.token);
}
