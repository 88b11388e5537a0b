/**
 * @file What a bandit believes of a chance: Beta(alpha, beta), the conjugate of draws that are right or wrong, which forgets, so that it
 * follows a chance that changes. Its samples are drawn from a sequence of its own; texts never depend on them.
 */

import type { StepOutcome } from "../../draft/drafter.ts";
import type { Memory, Numbers } from "../../draft/learnt.ts";
import { positionKey, uniform } from "../../random.ts";

/** Before anything is seen, any chance is as likely. */
const PRIOR = 1;
/** More than is ever seen of a chance that changes. */
const MOST = 1e6;
/** What a step's observations are worth one step later. */
const MEMORY = 1 - 1 / 16;

export class BetaPosterior implements Memory {
  /** alpha, beta */
  readonly values = Float64Array.of(PRIOR, PRIOR);
  readonly #memory: number;
  #draws = 0;

  /** `memory`: what observations are worth one step later, in (0, 1]. */
  constructor(memory = MEMORY) {
    this.#memory = memory;
  }

  get mean(): number {
    const [alpha, beta] = this.#counts;
    return alpha / (alpha + beta);
  }

  /** One step's draws that were right, and those that were wrong. */
  observe(hits: number, misses: number): void {
    const [alpha, beta] = this.#counts;
    this.values[0] = PRIOR + (alpha - PRIOR) * this.#memory + hits;
    this.values[1] = PRIOR + (beta - PRIOR) * this.#memory + misses;
  }

  /** A chance, as likely as it is believed. */
  sample(): number {
    const [alpha, beta] = this.#counts;
    const right = this.#gamma(alpha);
    return right / (right + this.#gamma(beta));
  }

  /** Uniform in (0, 1). */
  draw(): number {
    return uniform(positionKey(0, this.#draws++), 0);
  }

  accepts(values: Numbers): boolean {
    return values.every((value) => value >= PRIOR && value <= MOST);
  }

  get #counts(): readonly [alpha: number, beta: number] {
    return [this.values[0]!, this.values[1]!];
  }

  /** A sample of Gamma(shape, 1), shape >= 1, by Marsaglia and Tsang's squeeze (doi:10.1145/358407.358414). */
  #gamma(shape: number): number {
    const d = shape - 1 / 3;
    for (;;) {
      const normal = Math.sqrt(-2 * Math.log(this.draw())) * Math.cos(2 * Math.PI * this.draw());
      const v = (1 + normal / Math.sqrt(9 * d)) ** 3;
      if (v > 0 && Math.log(this.draw()) < normal ** 2 / 2 + d * (1 - v + Math.log(v))) return d * v;
    }
  }
}

/** A level of a verified draft whose outcome is known, since all levels above it were right. */
export interface Trial {
  /** How likely the drafter thought that the target picks one of the level's tokens, in [0, 1]. */
  readonly confidence: number;
  readonly hit: boolean;
}

/** The levels of a step up to the first wrong one; of a tree, the children of the accepted path's nodes. */
export function trialsOf({ tree, path }: StepOutcome): Trial[] {
  const trials: Trial[] = [];
  for (const [i, node] of path.entries()) {
    let confidence = 0;
    for (const child of tree.children(node)) confidence += tree.probs[child]!;
    const hit = i + 1 < path.length;
    if (hit || !tree.children(node).next().done) trials.push({ confidence, hit });
  }
  return trials;
}
