/** @file What several texts want of the rows of one pass, and what each of them gets to see. */

import type { NodeIndex } from "../types.ts";
import type { Pass, Penalised, SharedWant, Want } from "./target.ts";

/** All that any of them wants, but for how each picks. */
export function together(wants: readonly Want[]): SharedWant {
  return {
    topK: Math.max(...wants.map(({ topK }) => topK)),
    logits: wants.some(({ logits }) => logits),
    taps: [...new Set(wants.flatMap(({ taps = [] }) => taps))],
  };
}

/** `pass` with as many top tokens as `want` asks for, which may be fewer than it has. */
export function narrow(pass: Pass, { topK }: Want): Pass {
  return pass.k <= topK ? pass : new NarrowPass(pass, topK);
}

class NarrowPass implements Pass {
  readonly size: number;
  readonly k: number;
  readonly tokens: Int32Array;
  readonly logProbs: Float32Array;
  readonly picks: Int32Array;
  readonly penalised: Penalised | undefined;
  readonly #pass: Pass;

  constructor(pass: Pass, k: number) {
    this.size = pass.size;
    this.k = k;
    this.tokens = new Int32Array(pass.size * k);
    this.logProbs = new Float32Array(pass.size * k);
    this.picks = pass.picks;
    this.penalised = pass.penalised;
    this.#pass = pass;
    for (let row = 0; row < pass.size; row++) {
      const [from, to] = [row * pass.k, row * pass.k + k];
      this.tokens.set(pass.tokens.subarray(from, to), row * k);
      this.logProbs.set(pass.logProbs.subarray(from, to), row * k);
    }
  }

  logits(node: NodeIndex): Float32Array {
    return this.#pass.logits(node);
  }

  hidden(node: NodeIndex, tap: number): Float32Array {
    return this.#pass.hidden(node, tap);
  }
}
