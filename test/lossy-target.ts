/**
 * @file A target that breaks the promise: in passes of more than one row it swaps the two likeliest tokens of every row.
 * For tests of what must find that out.
 */

import type { Pass, TargetSequence } from "../src/target/target.ts";
import { type ToyOptions, ToyTarget } from "../src/target/toy.ts";

export class LossyTarget extends ToyTarget {
  readonly #from: number;

  /** Is right in texts of fewer than `from` tokens. */
  constructor(options: ToyOptions, from: number) {
    super(options);
    this.#from = from;
  }

  override async createSequence(options: { capacity: number }): Promise<TargetSequence> {
    const sequence = await super.createSequence(options);
    const forward = sequence.forward.bind(sequence);
    sequence.forward = async (tree, want, first) => {
      const pass = await forward(tree, want, first);
      return tree.size > 1 && sequence.length >= this.#from ? swapped(pass) : pass;
    };
    return sequence;
  }
}

function swapped(pass: Pass): Pass {
  for (let row = 0; row < pass.size && pass.k > 1; row++) {
    const first = row * pass.k;
    const likeliest = pass.tokens[first]!;
    pass.tokens[first] = pass.tokens[first + 1]!;
    pass.tokens[first + 1] = likeliest;
  }
  return pass;
}
