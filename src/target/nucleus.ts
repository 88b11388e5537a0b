/**
 * @file Top-p: is a token in the nucleus, the fewest of the likeliest tokens that have `topP` of a row's probability together (arXiv:1904.09751)? The
 * engine asks the same in native/pick.h, with the same bits: products and sums are of 32-bit floats, in its order.
 */

import type { TokenId } from "../types.ts";

const float = Math.fround;
/** Tokens whose weights are summed up in floats, 16 sums side by side; what blocks have is summed up in doubles. */
const BLOCK = 512;
const LARGEST_FLOAT = 3.4028234663852886e38;

/**
 * Has what comes before `token`, of higher logits or of equal ones and lower ids, less than `topP` of the probability of all? `top` is the best token, `scale`
 * what logits are multiplied by. Sums in one order never fall when a term is added, so what is kept comes before all that is not.
 */
export function inNucleus(
  logits: Float32Array,
  top: TokenId,
  token: TokenId,
  scale: number,
  topP: number,
): boolean {
  const most = logits[top]!;
  const own = logits[token]!;
  const factor = float(Math.min(scale, LARGEST_FLOAT));
  let total = 0;
  let before = 0;
  for (let begin = 0; begin < logits.length; begin += BLOCK) {
    const all = new Float32Array(16);
    const ahead = new Float32Array(16);
    const end = Math.min(begin + BLOCK, logits.length);
    for (let other = begin; other < end; other++) {
      const logit = logits[other]!;
      const weight = exponential(float(float(logit - most) * factor));
      const part = other % 16;
      all[part] = all[part]! + weight;
      if (logit > own || (logit === own && other < token)) ahead[part] = ahead[part]! + weight;
    }
    total += treeSum(all);
    before += treeSum(ahead);
  }
  return before < topP * total;
}

const SHIFTER = 12582912;
const LEAST = float(-87.3);
const INVERSE = float(Math.LOG2E);
const REDUCE = float(2.1219444e-4);
const POLYNOMIAL = Float32Array.of(
  ...[1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1],
);
const bits = new Int32Array(1);
const power = new Float32Array(bits.buffer);

/** e^x for x of 0 at most, as exponential_of_less in native/vectors.h. */
function exponential(x: number): number {
  const t = x > LEAST ? x : LEAST;
  const n = float(multiplyAdd(t, INVERSE, SHIFTER) - SHIFTER);
  const r = multiplyAdd(n, REDUCE, multiplyAdd(n, -0.693359375, t));
  let p = POLYNOMIAL[0]!;
  for (let i = 1; i < POLYNOMIAL.length; i++) p = multiplyAdd(p, r, POLYNOMIAL[i]!);
  p = float(multiplyAdd(p, float(r * r), r) + 1);
  bits[0] = (n + 127) << 23;
  return float(p * power[0]!);
}

/** a * b + c of floats, rounded once: as doubles their product is exact, and the sum is rounded to a float again as if it were. */
function multiplyAdd(a: number, b: number, c: number): number {
  const product = a * b;
  const sum = product + c;
  const near = float(sum);
  if (near === sum) return near;
  const added = sum - product;
  const lost = product - (sum - added) + (c - added);
  // What the sum lost decides where it lies midway between two floats, and only there.
  const far = 2 * sum - near;
  if (lost === 0 || float(far) !== far) return near;
  return lost > 0 ? Math.max(near, far) : Math.min(near, far);
}

function treeSum(of: Float32Array): number {
  const four = (i: number) => float(float(of[i]! + of[i + 8]!) + float(of[i + 4]! + of[i + 12]!));
  return float(float(four(0) + four(2)) + float(four(1) + four(3)));
}
