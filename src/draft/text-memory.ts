/**
 * @file What earlier texts of this process said, in bounded memory: two suffix automata. When the younger one is full it becomes the elder,
 * and what the elder knew is forgotten.
 */

import type { TokenId } from "../types.ts";
import { SuffixAutomaton } from "./suffix-automaton.ts";

/** States of one automaton: about 64,000 tokens and 8 MB. */
const MOST_STATES = 1 << 17;

export class TextMemory {
  readonly #most: number;
  /** Newer texts first. */
  #automata: readonly SuffixAutomaton[] = [new SuffixAutomaton()];

  /** `states`: the most of one automaton, but for the last text in it. */
  constructor(states = MOST_STATES) {
    this.#most = states;
  }

  /** What is remembered, newer texts first. */
  get automata(): readonly SuffixAutomaton[] {
    return this.#automata;
  }

  remember(text: readonly TokenId[]): void {
    const younger = this.#automata[0]!;
    if (younger.size >= this.#most) this.#automata = [new SuffixAutomaton(), younger];
    this.#automata[0]!.read(text);
  }
}
