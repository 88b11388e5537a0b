/**
 * @file Prompt lookup: where the last tokens stood before in prompt or text, what followed there is guessed again.
 * The longest match comes first, the most recent of equals; different continuations become branches. A predicted text can
 * be looked through instead: what should come is then known before any of it has been written.
 */

import type { DraftTree } from "../tree/draft-tree.ts";
import type { NodeIndex, Position, TokenId } from "../types.ts";
import { Calibration } from "./calibrate.ts";
import { CandidateLists } from "./candidate-list.ts";
import type { Coupling } from "./coupling.ts";
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

/**
 * How often lookups have been right. Texts differ in that more than the priors are wrong: started with what other texts had taught, drafts
 * cost more than they gave, so it is not kept. Class = length class * BRANCHES + place among the candidates.
 */
export class LookupOdds extends Calibration {
  constructor() {
    super(LENGTH_PRIORS.flatMap((prior) => Array.from({ length: BRANCHES }, (_, rank) => prior / 3 ** rank)));
  }
}

export class LookupDrafter implements Drafter {
  readonly name: "lookup" | "prediction";
  readonly rows = { pass: 0, prompt: 0 };
  readonly mayMiss = true;
  readonly #odds: LookupOdds;
  /** The text so far. */
  readonly #text = new NgramIndex();
  /** Where its last tokens are looked for. */
  readonly #index: NgramIndex;
  readonly #predicted: readonly TokenId[];
  /** The newest tokens of text and path, newest first. */
  readonly #tail = new Int32Array(LONGEST_MATCH);
  readonly #lists = new CandidateLists();
  #coupling: Coupling | undefined;
  /** What {@link #search} found: tokens and their classes. */
  #tokens: TokenId[] = [];
  #classes: number[] = [];

  /** With `predicted`, what is expected to follow the prompt, it looks through this instead of the text. */
  constructor(odds = new LookupOdds(), predicted?: readonly TokenId[]) {
    this.name = predicted === undefined ? "lookup" : "prediction";
    this.#odds = odds;
    this.#predicted = predicted ?? [];
    this.#index = predicted === undefined ? this.#text : new NgramIndex();
  }

  begin(tokens: readonly TokenId[]): void {
    const text = this.#text;
    let same = 0;
    while (same < text.length && same < tokens.length && text.at(same) === tokens[same]) same++;
    text.truncate(same);
    for (let position = same; position < tokens.length; position++) text.push(tokens[position]!);
    if (this.#index === text) return;
    // The prediction follows the prompt, so the prompt's end finds the prediction's beginning.
    this.#index.truncate(0);
    for (const token of tokens.slice(-LONGEST_MATCH)) this.#index.push(token);
    for (const token of this.#predicted) this.#index.push(token);
  }

  couple(coupling: Coupling | undefined): void {
    this.#coupling = coupling;
  }

  expand(tree: DraftTree, nodes: readonly NodeIndex[], width: number): Candidates[] {
    const lists = this.#lists.take(nodes.length);
    const most = Math.min(width, BRANCHES);
    for (const [i, node] of nodes.entries()) {
      this.#search(tree, node, this.#coupling ? BRANCHES : most);
      const list = lists[i]!;
      list.begin();
      for (const [rank, token] of this.#tokens.entries())
        list.add(token, this.#odds.probs[this.#classes[rank]!]!);
      list.end();
      list.couple(this.#coupling, tree.depths[node]!);
      list.cut(most);
    }
    return lists;
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
    for (let i = 1; i < path.length; i++) this.#text.push(tree.tokens[path[i]!]!);
    this.#text.push(bonus);
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
    const text = this.#text;
    let length = 0;
    // The root is the last token of the text, so it is not taken from the tree.
    for (let at = node; at > 0 && length < LONGEST_MATCH; at = tree.parents[at]!)
      tail[length++] = tree.tokens[at]!;
    for (let position = text.length - 1; position >= 0 && length < LONGEST_MATCH; position--) {
      tail[length++] = text.at(position);
    }
    return length;
  }
}
