/** @file Candidates in arrays that are used again, so that tables, which answer about dozens of nodes a step, leave nothing to collect. */

import type { TokenId } from "../types.ts";
import { type Coupling, TABLES } from "./coupling.ts";
import type { Candidates } from "./drafter.ts";

/** What tokens count for that the target's filters would cut if it thought as the model does. */
const CUT = 0.3;

/** What is said about one node: begun, added to, ended. */
export class CandidateList implements Candidates {
  readonly tokens: TokenId[] = [];
  readonly probs: number[] = [];
  #size = 0;

  begin(): void {
    this.#size = 0;
  }

  add(token: TokenId, prob: number): void {
    this.tokens[this.#size] = token;
    this.probs[this.#size++] = prob;
  }

  /** Puts a token before those that are less likely, and drops the last when there are more than `most`. */
  insert(token: TokenId, prob: number, most: number): void {
    const { tokens, probs } = this;
    let place = this.#size;
    while (place > 0 && probs[place - 1]! < prob) place--;
    if (place >= most) return;
    if (this.#size < most) this.#size++;
    for (let at = this.#size - 1; at > place; at--) {
      tokens[at] = tokens[at - 1]!;
      probs[at] = probs[at - 1]!;
    }
    tokens[place] = token;
    probs[place] = prob;
  }

  /** Once it has ended: of a sampled text, what a table says becomes what it says under the noise `depth` below the root. */
  couple(coupling: Coupling | undefined, depth: number): void {
    if (!coupling) return;
    let rest = 1;
    for (let i = 0; i < this.#size; i++) rest -= this.probs[i]!;
    coupling.apply(this.tokens, this.probs, rest, depth, TABLES);
  }

  /** Once it has ended: leaves those that the target may pick, where others have `rest`; gives what others have then, who can be picked but for an error. */
  keep(coupling: Coupling, rest: number): number {
    let sum = rest;
    for (let i = 0; i < this.#size; i++) sum += this.probs[i]!;
    const kept = coupling.kept(this.probs, sum);
    let left = sum;
    for (let i = 0; i < kept; i++) left -= this.probs[i]!;
    this.cut(kept);
    return left * CUT;
  }

  /** Once it has ended: divides all probabilities. */
  divide(sum: number): void {
    for (let i = 0; i < this.#size; i++) this.probs[i]! /= sum;
  }

  /** Once it has ended: leaves the `most` first. */
  cut(most: number): void {
    if (this.#size <= most) return;
    this.#size = most;
    this.end();
  }

  /** From here on the arrays have no more than was added. */
  end(): void {
    if (this.tokens.length !== this.#size) this.tokens.length = this.probs.length = this.#size;
  }
}

/** A list for each node of a question. */
export class CandidateLists {
  readonly #all: CandidateList[] = [];
  readonly #taken: CandidateList[] = [];

  /** As many lists, in an array that is valid until the next call. */
  take(count: number): CandidateList[] {
    const taken = this.#taken;
    for (let i = 0; i < count; i++) {
      this.#all[i] ??= new CandidateList();
      taken[i] = this.#all[i]!;
    }
    taken.length = count;
    return taken;
  }
}
