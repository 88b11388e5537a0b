/**
 * @file Prompt lookup: where the last tokens stood before in prompt or text, what followed there is guessed again.
 * The longest match comes first, the most recent of equals; different continuations become branches.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { type Candidates, type Drafter, pickedAt, type StepOutcome } from "./drafter.ts";
import { LONGEST_NGRAM, NgramIndex } from "./ngram-index.ts";

/** Tokens of a match that are counted; longer ones are as good as this. */
const LONGEST_MATCH = 16;
/** Continuations of one node. */
const BRANCHES = 4;
/** Earlier places that are looked at for each n. */
const PLACES = 8;
/** Match lengths that are counted apart, by their smallest. */
const LENGTHS = [1, 2, 3, 4, 5, 7, 10, 16];
const LENGTH_CLASS = Int32Array.from({ length: LONGEST_MATCH + 1 }, (_, length) =>
  LENGTHS.findLastIndex((smallest) => smallest <= length),
);
/** First guesses at the chance of the best continuation by length class; each further one gets a third of it. */
const LENGTH_PRIORS = [0.18, 0.45, 0.55, 0.65, 0.7, 0.8, 0.85, 0.9];

/** How often lookups have been right. Class = length class * BRANCHES + place among the candidates. */
export class LookupOdds extends Calibration {
  constructor() {
    super(LENGTH_PRIORS.flatMap((prior) => Array.from({ length: BRANCHES }, (_, rank) => prior / 3 ** rank)));
  }
}

export class LookupDrafter implements Drafter {
  readonly name = "lookup";
  readonly rows = { pass: 0, prompt: 0 };
  readonly #odds: LookupOdds;
  readonly #index = new NgramIndex();
  /** The newest tokens of text and path, newest first. */
  readonly #tail = new Int32Array(LONGEST_MATCH);
  /** What {@link #search} found: tokens and their classes. */
  #tokens: TokenId[] = [];
  #classes: number[] = [];

  constructor(odds = new LookupOdds()) {
    this.#odds = odds;
  }

  begin(tokens: readonly TokenId[]): void {
    const index = this.#index;
    let same = 0;
    while (same < index.length && same < tokens.length && index.at(same) === tokens[same]) same++;
    index.truncate(same);
    for (let position = same; position < tokens.length; position++) index.push(tokens[position]!);
  }

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    return nodes.map((node) => {
      this.#search(tree, node, Math.min(width, BRANCHES));
      return { tokens: this.#tokens, probs: this.#classes.map((index) => this.#odds.probs[index]!) };
    });
  }

  observe(outcome: StepOutcome): void {
    const { tree, path, bonus } = outcome;
    // What would have been found along the path is counted before the path itself can be found.
    for (let i = 0; i < path.length; i++) {
      this.#search(tree, path[i]!, BRANCHES);
      const picked = pickedAt(outcome, i);
      for (let rank = 0; rank < this.#tokens.length; rank++) {
        this.#odds.observe(this.#classes[rank]!, this.#tokens[rank] === picked);
      }
    }
    for (let i = 1; i < path.length; i++) this.#index.push(tree.tokens[path[i]!]!);
    this.#index.push(bonus);
  }

  #search(tree: DraftTree, node: NodeIndex, width: number): void {
    const index = this.#index;
    const tail = this.#tail;
    const length = this.#fillTail(tree, node);
    this.#tokens = [];
    this.#classes = [];
    const add = (position: Position, matched: number): boolean => {
      const token = index.at(position);
      if (!this.#tokens.includes(token)) {
        this.#classes.push(LENGTH_CLASS[matched]! * BRANCHES + this.#tokens.length);
        this.#tokens.push(token);
      }
      return this.#tokens.length === width;
    };
    if (length >= LONGEST_NGRAM) {
      const found: { position: Position; matched: number }[] = [];
      index.walk(tail, LONGEST_NGRAM, PLACES, (position) => {
        found.push({ position, matched: index.matches(tail, length, position) });
        return false;
      });
      found.sort((a, b) => b.matched - a.matched);
      if (found.some(({ position, matched }) => add(position, matched))) return;
    }
    for (let n = Math.min(length, LONGEST_NGRAM - 1); n >= 1 && this.#tokens.length < width; n--) {
      index.walk(tail, n, PLACES, (position) => add(position, n));
    }
  }

  /** How many tokens there were to fill it with. */
  #fillTail(tree: DraftTree, node: NodeIndex): number {
    const tail = this.#tail;
    let length = 0;
    // The root is the last token of the index, so it is not taken from the tree.
    for (let at = node; at > 0 && length < LONGEST_MATCH; at = tree.parents[at]!)
      tail[length++] = tree.tokens[at]!;
    for (let position = this.#index.length - 1; position >= 0 && length < LONGEST_MATCH; position--) {
      tail[length++] = this.#index.at(position);
    }
    return length;
  }
}
